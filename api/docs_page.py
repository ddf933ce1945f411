"""The page at /docs: the OpenAPI document for people, without a script and without a network."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} {{ version }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
nav { columns: 3; margin-bottom: 2rem }
summary { cursor: pointer; padding: .2rem 0 }
details { border-bottom: 1px solid #8884 }
details > :not(summary) { margin-left: 2rem }
.method { display: inline-block; font-weight: bold; width: 4.5rem }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { overflow-x: auto }
</style>
<h1>{{ title }}</h1>
<p>Version {{ version }}; as a document for programs:
<a href="/docs/openapi.json">openapi.json</a>.</p>
<nav>{% for name in resources if name in operations %}
<a href="#{{ name }}">{{ name }}</a><br>{% endfor %}
</nav>
{% macro schema(content) %}{% for described in content.values() %}
{% set name = described.schema.get("$ref", "").rpartition("/")[2] %}
{% if name %}<a href="#schema-{{ name }}">{{ name }}</a>
{% else %}<code>{{ described.schema | tojson }}</code>{% endif %}
{% endfor %}{% endmacro %}
{% for name, description in resources.items() if name in operations %}
<h2 id="{{ name }}">{{ name }}</h2>
<p>{{ description }}</p>
{% for method, path, operation in operations[name] %}
<details>
<summary><span class="method">{{ method | upper }}</span> <code>{{ path }}</code>
– {{ operation.summary }}</summary>
{% set parameters = operation.shared + operation.get("parameters", []) %}
{% if parameters %}<p>Parameters</p>
<ul>{% for one in parameters if one.name is defined %}
<li><code>{{ one.name }}</code> ({{ one.in }}) {{ one.description }}</li>{% endfor %}
</ul>{% endif %}
{% if operation.requestBody %}<p>Body: {{ schema(operation.requestBody.content) }}</p>{% endif %}
<p>Answers</p>
<ul>{% for status, answer in operation.responses | dictsort %}
{% set answer = components.responses[answer["$ref"].rpartition("/")[2]] if "$ref" in answer
   else answer %}
<li>{{ status }} {{ answer.description }} {{ schema(answer.content or {}) }}</li>{% endfor %}
</ul>
</details>
{% endfor %}{% endfor %}
<h2>Bodies</h2>
{% for name, described in components.schemas | dictsort %}
<details id="schema-{{ name }}"><summary>{{ name }}</summary>
<pre>{{ described | tojson(indent=2) }}</pre></details>
{% endfor %}
</html>
"""
