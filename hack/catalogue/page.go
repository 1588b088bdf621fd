package main

import (
	"fmt"
	"net/url"
	"strings"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/catalogue"
)

// categories in the order of the page, and what each is for people.
var categories = []struct {
	category v1alpha1.ProviderCategory
	title    string
}{
	{"LLM", "Models"},
	{"Integration", "Integrations"},
	{"Database", "Databases"},
	{"Webhook", "Webhooks"},
	{"Custom", "Anything else"},
}

const head = `<!-- Written by hack/catalogue out of config/providers: run 'make generate' after a change there. -->
# Providers

The catalogue as it is shipped: %d providers. Each is a [SecretProvider](../spec/secretprovider.md), an object of the cluster's; ` + "`kubectl get secretproviders`" + `
lists those of yours, and adding one is a ` + "`kubectl apply`" + `.

A pod names a provider, and a type where it means another than the first. The key is the file or the environment variable that it gets. *Tested* says whom a connection test asks;
a type without one can be stored and used all the same. A type with *several* may have more than one active UserSecret in a namespace, which a pod then asks for by name.
`

// page is the page of these files.
func page(files []catalogue.File) string {
	var out strings.Builder
	fmt.Fprintf(&out, head, len(files))
	for _, c := range categories {
		fmt.Fprintf(&out, "\n## %s\n\n| name | provider | type | key | tested | |\n|---|---|---|---|---|---|\n", c.title)
		for _, file := range files {
			if file.Provider.Spec.Category == c.category {
				rows(&out, &file.Provider)
			}
		}
	}
	out.WriteString("\n## What a value looks like, where that is not obvious\n\n")
	for _, file := range files {
		if text := file.Provider.Spec.Description; text != "" {
			fmt.Fprintf(&out, "- **%s**: %s\n", file.Provider.Name, text)
		}
	}
	return out.String()
}

// rows are those of one provider: a row for each type, its name in the first.
func rows(out *strings.Builder, p *v1alpha1.SecretProvider) {
	name, title := "`"+p.Name+"`", p.Spec.DisplayName
	if p.Spec.DocsURL != "" {
		title = "[" + title + "](" + p.Spec.DocsURL + ")"
	}
	for _, entry := range p.Spec.Types {
		several := ""
		if entry.AllowMultiple {
			several = "several"
		}
		fmt.Fprintf(out, "| %s | %s | `%s` | `%s` | %s | %s |\n", name, title, entry.Type, entry.Key, tested(entry.Test), several)
		name, title = "", ""
	}
}

// tested says whom a test asks.
func tested(test *v1alpha1.ProviderTest) string {
	switch {
	case test == nil:
		return "no"
	case test.HTTP != nil:
		target, err := url.Parse(test.HTTP.URL)
		if err != nil {
			return test.HTTP.URL
		}
		return target.Hostname()
	default:
		return "the server itself"
	}
}
