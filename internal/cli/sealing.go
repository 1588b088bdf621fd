package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// sealing is what seal and create share: a name, a value, a key to seal it
// with, and what else there is to say about it.
type sealing struct {
	env     *Environment
	cluster *cluster

	name     string
	value    valueSource
	keys     keySource
	manifest manifest
	// check, where set, is asked about the value before it is sealed.
	check func(context.Context, secretvalue.Value) error
}

var (
	errNoName  = errors.New("NAME is missing: give the name that the UserSecret is to have, such as openai")
	errBadName = errors.New("NAME is no valid name: use lower case letters, digits, '-' and '.', start and end with a letter or digit, and at most 253 characters")
)

func (s *sealing) bind(cmd *cobra.Command) {
	s.value.bind(cmd)
	s.keys.bind(cmd)
	s.manifest.bind(cmd)
}

// oneName takes NAME alone. Whatever follows it was meant to be the value, and
// is not repeated.
func oneName(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errNoName
	case len(args) > 1:
		return errValueOnCommandLine
	}
	return nil
}

func (s *sealing) validate() error {
	// The name is not repeated: somebody may have given the value there.
	if len(validation.IsDNS1123Subdomain(s.name)) > 0 {
		return errBadName
	}
	if err := s.value.validate(s.env.Prompter); err != nil {
		return err
	}
	return s.manifest.validate(s.env.Now())
}

// userSecret asks for the value, seals it, and forgets it. It comes after all
// that can go wrong without a value has been tried.
func (s *sealing) userSecret(ctx context.Context, key *sealingKey) (*v1alpha1.UserSecret, error) {
	place := envelope.Binding{Owner: key.owner, Namespace: key.namespace, Name: s.name}
	if err := place.Validate(); err != nil {
		return nil, err
	}
	value, err := s.value.read(ctx, s.env, fmt.Sprintf("Value of UserSecret %s/%s (not shown): ", key.namespace, s.name))
	if err != nil {
		return nil, err
	}
	defer value.Zero()
	if s.check != nil {
		if err := s.check(ctx, value); err != nil {
			return nil, err
		}
	}
	sealed, err := key.public.Seal(place, value)
	if err != nil {
		return nil, fmt.Errorf("sealing the value: %w", err)
	}
	return s.manifest.userSecret(key.namespace, s.name, sealed), nil
}
