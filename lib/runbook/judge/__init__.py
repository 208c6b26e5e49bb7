"""The canary's judge: pure functions of counted minutes; nothing in here reads a clock or a network.

minutes (counts) ─┬─ policy      the plan's thresholds, verbatim
                  ├─ evidence    canary against concurrent baseline, by two keys; calibrating: how noisy
                  ├─ bands       where a rate, a ratio lies, at any time one looks
                  └─ slo         error budget and burn
                         └────── verdict: proceed, hold or rollback, with reasons
"""
