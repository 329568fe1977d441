"""The operators' desk: the admin's pages of the bot. It stands above the rooms and is imported by none."""
