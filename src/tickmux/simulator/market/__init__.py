"""The made-up exchange: what is listed there, its order books, and how prices move. No broker's wire."""
