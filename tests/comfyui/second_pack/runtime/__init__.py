def twice(word):
    return word + word
