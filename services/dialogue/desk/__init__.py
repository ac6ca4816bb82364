"""The people's desk: conversations that were handed to a person."""
