"""Chat templates by name, for base models that have none. Each marks what the model writes with `{% generation %}`."""

from __future__ import annotations

from dataclasses import dataclass

_WORDS = """
{%- macro words(message) -%}
{{ message.content if message.content is string else '' }}
{%- for call in message.tool_calls or [] %}{{ (call.function or call) | tojson }}{% endfor %}
{%- endmacro -%}
"""
"""What a turn says: its content, and its function calls as JSON (these templates have no syntax for them)."""

_CHATML = """
{{- bos_token }}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ words(message) + '<|im_end|>' }}{% endgeneration %}
{%- else %}{{ words(message) + '<|im_end|>' }}{% endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

_PLAIN = """
{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '### Response:\\n' }}
{%- generation %}{{ words(message) + eos_token }}{% endgeneration %}
{%- elif message.role == 'user' %}{{ '### Instruction:\\n' + words(message) }}
{%- elif message.role == 'tool' %}{{ '### Result:\\n' + words(message) }}
{%- else %}{{ words(message) }}{% endif %}
{%- if not loop.last %}{{ '\\n\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}
"""

_ALPACA = """
{{- bos_token }}
{%- if messages[0].role != 'system' %}
{{- 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\\n\\n' }}
{%- endif %}
""" + _PLAIN.replace("\n{{- bos_token }}\n", "")

_LLAMA_3 = """
{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + ('ipython' if message.role == 'tool' else message.role) + '<|end_header_id|>\\n\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ words(message) + '<|eot_id|>' }}{% endgeneration %}
{%- else %}{{ words(message) + '<|eot_id|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
"""

_MISTRAL = """
{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message.role == 'system' %}{% set ns.system = words(message) + '\\n\\n' %}
{%- elif message.role == 'assistant' %}
{{- ' ' }}
{%- generation %}{{ words(message) + eos_token }}{% endgeneration %}
{%- else %}{{ '[INST] ' + ns.system + words(message) + ' [/INST]' }}{% set ns.system = '' %}{% endif %}
{%- endfor %}
"""

_GEMMA = """
{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message.role == 'system' %}{% set ns.system = words(message) + '\\n\\n' %}
{%- else %}
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ words(message) + '<end_of_turn>' }}{% endgeneration %}
{%- else %}{{ ns.system + words(message) + '<end_of_turn>' }}{% set ns.system = '' %}{% endif %}
{{- '\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}
"""


@dataclass(frozen=True)
class NamedTemplate:
    """`markers` are the tokens that the vocabulary must have for the template to be more than words."""

    name: str
    source: str
    markers: tuple[str, ...]
    title: str


NAMED: dict[str, NamedTemplate] = {
    template.name: template
    for template in (
        NamedTemplate("chatml", _WORDS + _CHATML, ("<|im_start|>", "<|im_end|>"), "ChatML: Qwen and many others"),
        NamedTemplate("plain", _WORDS + _PLAIN, (), "### Instruction and ### Response: plain words for any vocabulary"),
        NamedTemplate("alpaca", _WORDS + _ALPACA, (), "As plain, with Alpaca's opening sentence"),
        NamedTemplate(
            "llama-3", _WORDS + _LLAMA_3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "Llama 3"
        ),
        NamedTemplate("mistral", _WORDS + _MISTRAL, (), "[INST] ... [/INST]: Mistral and Llama 2"),
        NamedTemplate("gemma", _WORDS + _GEMMA, ("<start_of_turn>", "<end_of_turn>"), "Gemma"),
    )
}
"""Those whose end of turn is `eos_token` need a tokenizer that has one."""
