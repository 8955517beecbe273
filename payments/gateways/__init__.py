"""Payment channels behind one port (`base`). Only this package knows their names, words and signatures."""
