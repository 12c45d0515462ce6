"""Words that customers begin with and that are too short for statistics: which languages greet, thank and agree like that."""

from __future__ import annotations

GREETINGS: dict[str, tuple[str, ...]] = {
    "da": ("hej", "goddag", "tak", "farvel"),
    "de": ("hallo", "guten tag", "guten morgen", "moin", "danke", "bitte", "tschüss"),
    "en": ("hi", "hello", "hey", "good morning", "good afternoon", "good evening", "thanks", "thank you", "please", "yes", "help"),
    "es": ("hola", "buenas", "buenos días", "buenos dias", "buenas tardes", "gracias", "por favor", "sí", "ayuda", "adiós"),
    "et": ("tere", "tere päevast", "aitäh", "palun"),
    "fi": ("hei", "moi", "terve", "kiitos", "huomenta"),
    "fr": ("bonjour", "bonsoir", "salut", "merci", "s'il vous plaît", "oui", "aide"),
    "is": ("hæ", "halló", "góðan dag", "góðan daginn", "gott kvöld", "takk", "takk fyrir", "sæl", "sæll", "hjálp", "bless"),
    "it": ("ciao", "buongiorno", "buonasera", "salve", "grazie", "per favore", "aiuto"),
    "lt": ("labas", "laba diena", "labas rytas", "sveiki", "ačiū", "prašau"),
    "lv": ("sveiki", "sveika", "sveiks", "labdien", "labrīt", "labvakar", "čau", "paldies", "lūdzu", "jā", "nē", "palīdziet"),
    "nl": ("hallo", "goedemorgen", "goedemiddag", "dag", "bedankt", "dank u", "alstublieft"),
    "no": ("hei", "god dag", "takk", "ha det"),
    "pl": ("cześć", "dzień dobry", "dobry wieczór", "dziękuję", "proszę", "pomocy"),
    "pt": ("oi", "olá", "ola", "bom dia", "boa tarde", "boa noite", "obrigado", "obrigada", "por favor", "sim", "não", "ajuda", "tchau"),
    "sv": ("hej", "god dag", "tack", "snälla", "hejdå"),
}
"""Greetings by base language, in lower case. A word that two of the configured languages share says nothing and is left out."""
