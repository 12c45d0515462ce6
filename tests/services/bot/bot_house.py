"""A small contact centre with one of everything a flow can do."""

from __future__ import annotations

from typing import Any

from shared.contact_centre.models import ContactCentre

HOUSE: dict[str, Any] = {
    "name": "House",
    "languages": ["en", "pt"],
    "fallback_language": "en",
    "departments": {"sales": {"pool": "all"}, "support": {"pool": "all"}},
    "pools": {"all": {}},
    "calendars": {},
    "agents": {},
    "accounts": {
        "chat:main": {"title": "Main", "department": "sales", "flow": "main"},
        "chat:portuguese": {"title": "Main", "department": "sales", "flow": "main", "language": "pt"},
        "chat:bare": {"title": "Bare", "department": "sales", "flow": "bare"},
        "chat:silent": {"title": "No flow", "department": "sales"},
    },
    "day_names": {"pt": ["na segunda", "na terça", "na quarta", "na quinta", "na sexta", "no sábado", "no domingo"]},
    "faq": [
        {"id": "hours", "questions": {"en": ["when open"], "pt": ["quando"]}, "answers": {"en": "At nine.", "pt": "Às nove."}},
        {"id": "unlisted", "questions": {"en": ["secret"]}, "answers": {"en": "No."}},
    ],
    "flows": {
        "main": {
            "greeting": {"en": "Hello.", "pt": "Olá."},
            "disclosure": {"en": "I am a bot.", "pt": "Sou um robô."},
            "closing": {"en": "Goodbye."},
            "connecting": {"en": "Connecting.", "pt": "Conectando."},
            "away": {"en": "Back {day} {time} {zone}.", "pt": "De volta {day} {time} {zone}."},
            "away_without_date": {"en": "Nobody here."},
            "not_understood": {"en": "Pardon?"},
            "faq": ["hours"],
            "start": "menu",
            "steps": {
                "menu": {
                    "kind": "menu",
                    "text": {"en": "Choose.", "pt": "Escolha."},
                    "options": [
                        {"id": "order", "title": {"en": "Order", "pt": "Pedido"}, "next": "ask"},
                        {"id": "listen", "title": {"en": "Ask", "pt": "Pergunta"}, "next": "listen"},
                        {"id": "leave", "title": {"en": "Leave"}, "next": "bye"},
                        {"id": "person", "title": {"en": "Human"}, "next": "own_words"},
                        {"id": "news", "title": {"en": "News"}, "next": "news"},
                    ],
                },
                "ask": {"kind": "question", "text": {"en": "Number?"}, "attribute": "number", "next": "mark"},
                "mark": {"kind": "tag", "tag": "order", "next": "set"},
                "set": {"kind": "set_attribute", "attribute": "topic", "value": "order", "next": "which"},
                "which": {"kind": "condition", "attribute": "number", "equals": "1", "next": "one", "otherwise": "other"},
                "one": {"kind": "answer", "text": {"en": "The first."}},
                "other": {"kind": "hand_off", "department": "support"},
                "listen": {"kind": "faq", "text": {"en": "Ask me."}, "otherwise": "bye"},
                "bye": {"kind": "close"},
                "own_words": {"kind": "hand_off", "text": {"en": "My own words."}},
                "news": {"kind": "answer", "text": {"en": "No news."}, "next": "menu"},
            },
        },
        "bare": {
            "start": "on_shift",
            "steps": {
                "on_shift": {"kind": "condition", "attribute": "on_shift", "equals": "yes", "next": "where", "otherwise": "known"},
                "where": {"kind": "condition", "attribute": "department", "equals": "sales", "next": "words", "otherwise": "known"},
                "words": {"kind": "condition", "attribute": "language", "equals": "pt", "next": "spin", "otherwise": "known"},
                "known": {"kind": "condition", "attribute": "vip", "next": "listen", "otherwise": "leave"},
                "spin": {"kind": "answer", "text": {"en": "Round"}, "next": "spin"},
                "listen": {"kind": "faq"},
                "leave": {"kind": "close", "text": {"en": "Not now."}},
            },
        },
    },
}
"""As written in config/, for tests that change something."""

CENTRE = ContactCentre.model_validate(HOUSE)
