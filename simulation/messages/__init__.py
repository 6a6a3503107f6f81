"""A gateway for text messages and WeChat template messages that keeps what it is given and sends nothing."""
