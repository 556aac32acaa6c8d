"""The support desk: domain, policy, packs and store, without Telegram, without torch."""
