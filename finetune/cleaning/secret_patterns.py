"""Keys and passwords that detect-secrets 1.5 does not know, or knows only in quotes. Values alone, no logic.

The forms are those that their issuers document. Prefixed keys are certain; the rest ask for some disorder.
"""

from __future__ import annotations

import re

PREFIXED: dict[str, re.Pattern[str]] = {
    "AWS access key": re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    "Anthropic key": re.compile(r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    "OpenAI key": re.compile(r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    "Hugging Face token": re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})\b"),
    "GitLab token": re.compile(r"\bgl(?:pat|ptt|dt|rt|cbt|soat|ft|agent)-[A-Za-z0-9_.-]{20,}"),
    "Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "Google client secret": re.compile(r"\bGOCSPX-[A-Za-z0-9_-]{20,}"),
    "Google access token": re.compile(r"\bya29\.[A-Za-z0-9_-]{20,}"),
    "Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Za-z0-9-]{20,}"),
    "Slack webhook": re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,}"),
    "Discord webhook": re.compile(r"discord(?:app)?\.com/api/webhooks/\d{15,}/[A-Za-z0-9_-]{40,}"),
    "Stripe key": re.compile(r"\b(?:[rs]k|whsec)_(?:live_|test_)?[A-Za-z0-9]{24,}"),
    "npm token": re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"),
    "PyPI token": re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}"),
    "Docker token": re.compile(r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    "DigitalOcean token": re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    "Databricks token": re.compile(r"\bdapi[a-f0-9]{32}\b"),
    "Shopify token": re.compile(r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    "SendGrid key": re.compile(r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    "Vault token": re.compile(r"\bhv[bsr]\.[A-Za-z0-9_-]{24,}"),
    "Grafana token": re.compile(r"\bgl(?:sa|c)_[A-Za-z0-9+/_=]{30,}"),
    "New Relic key": re.compile(r"\bNRAK-[A-Z0-9]{27}\b"),
    "Linear key": re.compile(r"\blin_api_[A-Za-z0-9]{40}"),
    "Groq key": re.compile(r"\bgsk_[A-Za-z0-9]{48,}"),
    "Replicate token": re.compile(r"\br8_[A-Za-z0-9]{37,}"),
    "age key": re.compile(r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}"),
    "private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    "password in an address": re.compile(
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"{}$<]{1,80}:[^\s/@'\"{}$<]{3,80}@"
    ),
    "bearer token": re.compile(r"\b[Bb]earer\s+[A-Za-z0-9._~+/-]{24,}=*"),
    "Azure key": re.compile(r"\b(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}"),
}
"""By what the report calls them."""

ASSIGNED = re.compile(
    r"(?:secret|token|passw(?:or)?d|passphrase|passwd|pwd|api_?key|access_?key|auth_?key|private_?key"
    r"|credential)s?\w{0,20}['\"\]]{0,2}\s{0,4}(?::|=>|=|,)\s{0,4}[bru]?(?P<quote>['\"]?)"
    r"(?P<value>[A-Za-z0-9+/_=.~!@#$%^&*-]{12,})",
    re.IGNORECASE,
)
"""A name that promises a secret, and a value beside it, quoted or not."""
