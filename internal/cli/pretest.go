package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

// Tester tests a value against its provider, from this machine.
type Tester interface {
	Test(ctx context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result
}

// pretest is the flag --test: store what is accepted, and nothing else.
type pretest struct {
	wanted bool
}

var (
	errTestDryRun      = errors.New("--test sends the value to its provider, and --dry-run=client sends nothing: give one of them")
	errTestNoCatalogue = errors.New("--test needs the catalogue, which you may not read: leave out --test, or ask an administrator for the ClusterRole usersecret-catalogue-reader")
	errNotStored       = errors.New("the value was not stored")
)

func (p *pretest) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.wanted, "test", false, "Test the value against its provider first, from this machine, and store it only where it is accepted.")
}

func (p *pretest) validate(d dryRun) error {
	if p.wanted && d.client() {
		return errTestDryRun
	}
	return nil
}

// check sends the value to its provider. The error says why it is not to be
// stored.
func (p *pretest) check(ctx context.Context, env *Environment, entry *v1alpha1.ProviderType, value secretvalue.Value) error {
	result := env.Tester.Test(ctx, entry, value)
	if ctx.Err() != nil {
		return errInterrupted
	}
	switch result.Reason {
	case v1alpha1.ReasonAccepted:
		return nil
	case v1alpha1.ReasonRejected:
		return fmt.Errorf("%w: %s; check that the whole value was given, and that it is still good", errNotStored, result.Message)
	default:
		return fmt.Errorf("%w: %s; leave out --test to store it untested", errNotStored, result.Message)
	}
}
