"""What every step needs of text: characters, words, lines, sentences, word lists, cuts; repair."""
