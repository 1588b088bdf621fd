package cli

import (
	"context"
	"os"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/internal/dialing"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

// FieldManager is the name under which the plugin writes (managedFields).
const FieldManager = "kubectl-usersecret"

// Environment is what commands need of the machine that they run on.
type Environment struct {
	genericiooptions.IOStreams
	// Prompter asks the user.
	Prompter Prompter
	// LookupEnv reads an environment variable, as os.LookupEnv does.
	LookupEnv func(name string) (string, bool)
	// Now is the time.
	Now func() time.Time
	// NewClient connects to a cluster.
	NewClient func(*rest.Config) (client.Client, error)
	// Tester tests values from this machine.
	Tester Tester
	// Version of the plugin.
	Version string
}

// Prompter asks the person at the terminal.
type Prompter interface {
	// Interactive says whether there is a terminal to ask at. Nothing else
	// may be called where there is none.
	Interactive() bool
	// Ask returns a line, without its end.
	Ask(ctx context.Context, question string) (string, error)
	// AskSecret returns a line, without its end, that is not shown while it is
	// typed. The caller zeroes it.
	AskSecret(ctx context.Context, question string) (secretvalue.Value, error)
}

// System is the environment of the running process.
func System(version string) *Environment {
	return &Environment{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Prompter:  NewTerminal(os.Stdin, os.Stderr),
		LookupEnv: os.LookupEnv,
		Now:       time.Now,
		NewClient: newClient,
		Tester:    verify.New(verify.Options{Destinations: dialing.NewGuard(nil, nil)}),
		Version:   version,
	}
}
