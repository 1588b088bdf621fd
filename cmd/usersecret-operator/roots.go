package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/kms"
)

// errRoots says that flags contradict each other.
var errRoots = errors.New("give the root key in one way: --root-key, or --root-key-file, or the environment variable " + keyring.RootKeyVariable)

// rootKeys opens the root keys in the order given: the first wraps, all unwrap.
// What was opened is kept, so that it can be called again when a KMS was away: a
// process that has read a key from its environment does not keep it there.
type rootKeys struct {
	opened map[string][]keyring.Root
}

// open errors are those of keyring.ParseRootKeys and kms.Open.
func (r *rootKeys) open(ctx context.Context, o *options) ([]keyring.Root, error) {
	sources := o.rootKeys
	switch {
	case len(sources) > 0 && o.rootKeyFile != "":
		return nil, errRoots
	case o.rootKeyFile != "":
		sources = []string{fileSource + o.rootKeyFile}
	case len(sources) == 0:
		sources = []string{variableSource + keyring.RootKeyVariable}
	}
	var roots []keyring.Root
	for _, source := range sources {
		if _, ok := r.opened[source]; !ok {
			opened, err := openRootKeys(ctx, source)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(strings.TrimPrefix(source, fileSource), variableSource), err)
			}
			if r.opened == nil {
				r.opened = map[string][]keyring.Root{}
			}
			r.opened[source] = opened
		}
		roots = append(roots, r.opened[source]...)
	}
	return roots, nil
}

// What a source that is no KMS's URL starts with.
const (
	fileSource     = "file:"
	variableSource = "env:"
)

func openRootKeys(ctx context.Context, source string) ([]keyring.Root, error) {
	if path, ok := strings.CutPrefix(source, fileSource); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the root key: %w", err)
		}
		defer clear(text)
		return keyring.ParseRootKeys(string(text))
	}
	if variable, ok := strings.CutPrefix(source, variableSource); ok {
		roots, err := keyring.ParseRootKeys(os.Getenv(variable))
		if err != nil {
			return nil, err
		}
		return roots, os.Unsetenv(variable)
	}
	root, err := kms.Open(ctx, source)
	if errors.Is(err, kms.ErrURL) {
		return nil, fmt.Errorf("%w, or file:PATH, or env:VARIABLE", err)
	}
	if err != nil {
		return nil, err
	}
	return []keyring.Root{root}, nil
}
