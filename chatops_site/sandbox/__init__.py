"""Stand-ins of four forges, Jenkins and DingTalk on loopback: for the demo and for the tests."""
