package verify

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/secretvalue"
)

// reservedHeaders belong to the connection and not to the request (RFC 9110,
// sections 7.2 and 7.6.1; RFC 9112), or would have the answer come encoded.
var reservedHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// ValidateProvider checks what the CRD's schema cannot: that patterns, expressions
// and requests of an entry of the catalogue do work. Each error names the field and,
// for CEL, line and column in it.
func ValidateProvider(p *v1alpha1.SecretProvider) field.ErrorList {
	var errs field.ErrorList
	for i := range p.Spec.Types {
		path, entry := field.NewPath("spec", "types").Index(i), &p.Spec.Types[i]
		errs = append(errs, validatePattern(path, entry)...)
		if entry.Test != nil && entry.Test.HTTP != nil {
			errs = append(errs, validateHTTP(path.Child("test", "http"), entry.Test.HTTP)...)
		}
	}
	return errs
}

func validatePattern(path *field.Path, entry *v1alpha1.ProviderType) field.ErrorList {
	if entry.Pattern == "" {
		return nil
	}
	if _, err := regexp.Compile(entry.Pattern); err != nil {
		return field.ErrorList{field.Invalid(path.Child("pattern"), entry.Pattern, err.Error())}
	}
	if entry.Example == "" || catalogue.CheckPattern(entry, secretvalue.FromString(entry.Example)) == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("example"), entry.Example, fmt.Sprintf("does not match the pattern %s as a whole", entry.Pattern))}
}

func validateHTTP(path *field.Path, test *v1alpha1.HTTPTest) field.ErrorList {
	errs := validateURL(path.Child("url"), test.URL)
	errs = append(errs, validateHeaders(path.Child("headers"), test.Headers)...)
	errs = append(errs, validateBody(path.Child("body"), test)...)
	if !sendsValue(test) {
		errs = append(errs, field.Required(path, "the test sends the value nowhere, so it tests nothing: put "+v1alpha1.ValuePlaceholder+" into url, headers or body"))
	}
	errs = append(errs, validateExpression(path.Child("valid"), test.Valid)...)
	return append(errs, validateExpression(path.Child("invalid"), test.Invalid)...)
}

func validateURL(path *field.Path, text string) field.ErrorList {
	errs := validatePlaceholders(path, text)
	value := secretvalue.FromString("value")
	if _, err := targetURL(text, value); err != nil {
		return append(errs, field.Invalid(path, text, urlProblem(text)))
	}
	if strings.Contains(text, "#") {
		errs = append(errs, field.Invalid(path, text, "a fragment is not sent: leave out what stands from # on"))
	}
	return errs
}

// urlProblem says what is wrong with a URL; it is the catalogue's, without a value.
func urlProblem(text string) string {
	if !strings.HasPrefix(text, "https://") {
		return "must start with https://: a secret is never sent in the clear"
	}
	parsed, err := url.Parse(strings.NewReplacer(v1alpha1.ValuePlaceholder, "value", v1alpha1.ValueBase64Placeholder, "value").Replace(text))
	if err != nil {
		return "is no URL"
	}
	if slices.ContainsFunc(strings.Split(parsed.EscapedPath(), "/"), func(s string) bool { return s == "." || s == ".." }) {
		return `must not have "." or ".." in its path`
	}
	return "must name a fixed host, and no user"
}

func validateHeaders(path *field.Path, headers []v1alpha1.HTTPHeader) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, header := range headers {
		at := path.Index(i)
		name := textproto.CanonicalMIMEHeaderKey(header.Name)
		switch {
		case slices.Contains(reservedHeaders, name):
			errs = append(errs, field.Invalid(at.Child("name"), header.Name, "belongs to the connection: the request has it, or must not"))
		case seen[name]:
			errs = append(errs, field.Duplicate(at.Child("name"), header.Name))
		}
		seen[name] = true
		if _, err := headerValue(header.Value, secretvalue.FromString("value")); err != nil {
			errs = append(errs, field.Invalid(at.Child("value"), header.Value, "must be printable ASCII on one line (RFC 9110, section 5.5)"))
		}
		errs = append(errs, validatePlaceholders(at.Child("value"), header.Value)...)
	}
	return errs
}

func validateBody(path *field.Path, test *v1alpha1.HTTPTest) field.ErrorList {
	if test.Body != "" && method(test) != http.MethodPost {
		return field.ErrorList{field.Forbidden(path, "is sent with method POST alone")}
	}
	return validatePlaceholders(path, test.Body)
}

// placeholder is what looks like one.
var placeholder = regexp.MustCompile(`\{\{[^{}]*(\}\})?`)

func validatePlaceholders(path *field.Path, text string) field.ErrorList {
	for _, found := range placeholder.FindAllString(text, -1) {
		if found != v1alpha1.ValuePlaceholder && found != v1alpha1.ValueBase64Placeholder {
			return field.ErrorList{field.Invalid(path, text, fmt.Sprintf("%s stands for nothing: the placeholders are %s and %s", found, v1alpha1.ValuePlaceholder, v1alpha1.ValueBase64Placeholder))}
		}
	}
	return nil
}

func sendsValue(test *v1alpha1.HTTPTest) bool {
	texts := []string{test.URL}
	for _, header := range test.Headers {
		texts = append(texts, header.Value)
	}
	if method(test) == http.MethodPost {
		texts = append(texts, test.Body)
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(text, v1alpha1.ValuePlaceholder) || strings.Contains(text, v1alpha1.ValueBase64Placeholder)
	})
}

func validateExpression(path *field.Path, text string) field.ErrorList {
	if text == "" {
		return nil
	}
	compiled, err := verdicts.compile(text)
	if err != nil {
		// cel-go names its source, of which there is only one here.
		message := strings.ReplaceAll(err.Error(), "ERROR: <input>:", "at line:column ")
		return field.ErrorList{field.Invalid(path, text, message)}
	}
	if !compiled.readsBody && !compiled.readsCode {
		return field.ErrorList{field.Invalid(path, text, "says the same of every answer: it looks at neither code nor body")}
	}
	return nil
}
