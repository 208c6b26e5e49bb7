"""What OmniHub's visitors do, minute by minute: drawn from a seed, split as Vercel splits them."""
