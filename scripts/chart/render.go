// Renders the templates of a chart where Helm is not installed: the same template language, and those of Helm's
// functions that the chart uses. Standard input: {"templates": {name: text}, "context": {…}}; standard output:
// {name: rendered text}.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var input struct {
		Templates map[string]string
		Context   map[string]any
	}
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		return err
	}
	root := template.New("chart").Option("missingkey=zero")
	root.Funcs(functions(root))
	for name, text := range input.Templates {
		if _, err := root.New(name).Parse(text); err != nil {
			return err
		}
	}
	rendered := map[string]string{}
	for name := range input.Templates {
		var out bytes.Buffer
		if err := root.ExecuteTemplate(&out, name, input.Context); err != nil {
			return err
		}
		rendered[name] = strings.ReplaceAll(out.String(), "<no value>", "")
	}
	return json.NewEncoder(os.Stdout).Encode(rendered)
}

func functions(root *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, context any) (string, error) {
			var out strings.Builder
			err := root.ExecuteTemplate(&out, name, context)
			return out.String(), err
		},
		"required": func(message string, value any) (any, error) {
			if isEmpty(value) {
				return nil, errors.New(message)
			}
			return value, nil
		},
		"default": func(fallback any, given ...any) any {
			if len(given) == 0 || isEmpty(given[0]) {
				return fallback
			}
			return given[0]
		},
		"dict": func(pairs ...any) map[string]any {
			dict := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				dict[toString(pairs[i])] = pairs[i+1]
			}
			return dict
		},
		// JSON is YAML.
		"toYaml": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
		"nindent": func(spaces int, text string) string {
			indent := "\n" + strings.Repeat(" ", spaces)
			return indent + strings.ReplaceAll(text, "\n", indent)
		},
		"quote":      func(value any) string { return fmt.Sprintf("%q", toString(value)) },
		"toString":   toString,
		"trim":       strings.TrimSpace,
		"trunc":      func(length int, text string) string { return text[:min(length, len(text))] },
		"trimSuffix": func(suffix, text string) string { return strings.TrimSuffix(text, suffix) },
		"contains":   func(part, text string) bool { return strings.Contains(text, part) },
		"replace":    func(old, with, text string) string { return strings.ReplaceAll(text, old, with) },
	}
}

func toString(value any) string {
	if value == nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return text
	}
	return fmt.Sprintf("%v", value)
}

func isEmpty(value any) bool {
	switch typed := value.(type) {
	case nil:
		return true
	case string:
		return typed == ""
	case bool:
		return !typed
	case float64:
		return typed == 0
	case map[string]any:
		return len(typed) == 0
	case []any:
		return len(typed) == 0
	}
	return false
}
