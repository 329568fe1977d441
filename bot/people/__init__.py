"""Who asks, and what they may do: persons, accounts, teams, roles, grants and the decision."""
