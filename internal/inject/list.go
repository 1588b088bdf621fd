package inject

import (
	"fmt"
	"regexp"
	"strings"
)

// separator ends an element: a comma, a newline, or a comma at the end of a
// line, which is how people write lists over several lines of YAML.
var separator = regexp.MustCompile(`,[ \t\r]*\n|,|\n`)

// ParseList reads the value of usersecrets.dev/inject: 1 to MaxItems elements
// "provider", "provider/type" or "name:usersecret", each with an optional
// "=KEY", separated by commas or newlines. White space around elements, and so
// the newline that ends a YAML block, does not count.
//
// Errors are ErrInject, with ErrKey where a key is malformed, and
// ErrDuplicateKey. They name elements by their position, counted from 1.
func ParseList(text string) ([]Item, error) {
	elements := split(text)
	if len(elements) == 0 {
		return nil, fmt.Errorf(`%w: the list is empty: name at least one secret, as in "openai", "slack/oauth_token" or "name:prod-db=DATABASE_URL"`, ErrInject)
	}
	if len(elements) > MaxItems {
		return nil, fmt.Errorf("%w: %d elements, and at most %d are allowed: ask for fewer, or share the work between pods", ErrInject, len(elements), MaxItems)
	}
	items := make([]Item, 0, len(elements))
	for i, element := range elements {
		if element == "" {
			return nil, fmt.Errorf("%w: element %d is empty: remove the extra comma", ErrInject, i+1)
		}
		item, err := parseItem(element)
		if err != nil {
			return nil, fmt.Errorf("%w: element %d: %w", ErrInject, i+1, err)
		}
		items = append(items, item)
	}
	if err := checkRepeats(items); err != nil {
		return nil, err
	}
	return items, nil
}

// split cuts a list into trimmed elements, of which some may be empty. A list
// of nothing but white space has none.
func split(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	elements := separator.Split(text, -1)
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return elements
}

// checkRepeats refuses an element, or a key, that the list itself has twice.
// Elements whose keys come from the catalogue are CheckKeys' to compare.
func checkRepeats(items []Item) error {
	elements, keys := make([]string, len(items)), make([]string, len(items))
	for i, item := range items {
		elements[i], keys[i] = item.String(), item.Key
	}
	if i, j, found := repeat(elements); found {
		return fmt.Errorf("%w: elements %d and %d are the same: remove one", ErrInject, i+1, j+1)
	}
	if i, j, found := repeat(keys); found {
		return fmt.Errorf(`%w: %w: elements %d and %d ask for it: give one of them another "=KEY"`, ErrInject, ErrDuplicateKey, i+1, j+1)
	}
	return nil
}

// repeat finds the first text that stands in the list twice. Empty texts do
// not count.
func repeat(texts []string) (first, second int, found bool) {
	seen := make(map[string]int, len(texts))
	for j, text := range texts {
		if i, ok := seen[text]; ok && text != "" {
			return i, j, true
		}
		seen[text] = j
	}
	return 0, 0, false
}
