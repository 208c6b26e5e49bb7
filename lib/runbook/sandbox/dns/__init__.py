"""The DNS of the rehearsal world: zones, nameservers, caching resolvers; real packets, virtual clock."""
