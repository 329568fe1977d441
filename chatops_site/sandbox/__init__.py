"""Stand-ins of Gitee, Jenkins and DingTalk on loopback: for the demo and for the tests."""
