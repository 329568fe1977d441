"""The admin's forms for what we act on, and the form fields that the bot's forms share with them."""
