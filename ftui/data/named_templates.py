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

_LLAMA_2 = """
{{- bos_token }}
{%- set ns = namespace(system='', asked=false) %}
{%- for message in messages %}
{%- if message.role == 'system' %}{% set ns.system = '<<SYS>>\\n' + words(message) + '\\n<</SYS>>\\n\\n' %}
{%- elif message.role == 'assistant' %}
{{- ' ' }}
{%- generation %}{{ words(message) + ' ' + eos_token }}{% endgeneration %}
{%- else %}
{%- if ns.asked %}
{{- bos_token }}
{%- endif %}
{{- '[INST] ' + ns.system + words(message) + ' [/INST]' }}{% set ns.system = '' %}{% set ns.asked = true %}
{%- endif %}
{%- endfor %}
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

_PHI = """
{{- bos_token }}
{%- for message in messages %}
{{- '<|' + ('user' if message.role == 'tool' else message.role) + '|>\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ words(message) + '<|end|>' }}{% endgeneration %}
{%- else %}{{ words(message) + '<|end|>' }}{% endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}
"""

_VICUNA = """
{{- bos_token }}
{%- set ns = namespace(system='A chat between a curious user and an artificial intelligence assistant. The assistant '
    + "gives helpful, detailed, and polite answers to the user's questions.") %}
{%- if messages[0].role == 'system' %}{% set ns.system = words(messages[0]) %}{% endif %}
{{- ns.system + ' ' }}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- 'ASSISTANT: ' }}
{%- generation %}{{ words(message) + eos_token }}{% endgeneration %}
{%- elif message.role != 'system' or not loop.first %}{{ 'USER: ' + words(message) + ' ' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}
"""

_QWEN = """
{{- bos_token }}
{%- set ns = namespace(system='You are Qwen, created by Alibaba Cloud. You are a helpful assistant.') %}
{%- if messages[0].role == 'system' %}{% set ns.system = messages[0].content %}{% endif %}
{{- '<|im_start|>system\\n' + ns.system }}
{%- if tools %}
{{- '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n'
    + 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}
{{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within '
    + '<tool_call></tool_call> XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}'
    + '\\n</tool_call>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- generation %}{{ message.content }}
{%- for call in message.tool_calls or [] %}
{%- set function = call.function or call %}
{{- '\\n' if message.content or not loop.first else '' }}
{{- '<tool_call>\\n{"name": "' + function.name + '", "arguments": ' + function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}{{ '<|im_end|>' }}{% endgeneration %}
{{- '\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user' if loop.first or loop.previtem.role != 'tool' else '' }}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{{- '<|im_end|>\\n' if loop.last or loop.nextitem.role != 'tool' else '' }}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
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
        NamedTemplate("chatml", _WORDS + _CHATML, ("<|im_start|>", "<|im_end|>"), "ChatML: many models"),
        NamedTemplate(
            "qwen", _QWEN, ("<|im_start|>", "<|im_end|>"), "Qwen 2.5: ChatML with its system turn and function calls"
        ),
        NamedTemplate("plain", _WORDS + _PLAIN, (), "### Instruction and ### Response: plain words for any vocabulary"),
        NamedTemplate("alpaca", _WORDS + _ALPACA, (), "As plain, with Alpaca's opening sentence"),
        NamedTemplate(
            "llama-3", _WORDS + _LLAMA_3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "Llama 3"
        ),
        NamedTemplate("llama-2", _WORDS + _LLAMA_2, (), "Llama 2: [INST] ... [/INST] with <<SYS>>"),
        NamedTemplate("mistral", _WORDS + _MISTRAL, (), "Mistral 7B: [INST] ... [/INST]"),
        NamedTemplate("gemma", _WORDS + _GEMMA, ("<start_of_turn>", "<end_of_turn>"), "Gemma"),
        NamedTemplate("phi", _WORDS + _PHI, ("<|user|>", "<|assistant|>", "<|end|>"), "Phi 3"),
        NamedTemplate("vicuna", _WORDS + _VICUNA, (), "Vicuna 1.1: USER: ... ASSISTANT: ..., plain words"),
    )
}
"""Those whose end of turn is `eos_token` need a tokenizer that has one."""
