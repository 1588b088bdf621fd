package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

const (
	exitFailure     = 1
	exitInterrupted = 130 // what a shell makes of SIGINT
)

// Main runs the plugin with the arguments that follow its name, and returns its
// exit code: 0, 1 after an error, 130 where the user interrupted it.
func Main(ctx context.Context, env *Environment, args []string) int {
	root := NewCommand(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	// There is nobody to tell where standard error cannot be written.
	_, _ = fmt.Fprintln(env.ErrOut, "error: "+explain(err))
	if interrupted(err) {
		return exitInterrupted
	}
	return exitFailure
}

// NewCommand returns the root of the command tree.
func NewCommand(env *Environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kubectl-usersecret",
		// kubectl runs the binary kubectl-usersecret for "kubectl usersecret".
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl usersecret"},
		Short:       "Store secret values sealed, for your workflow pods alone",
		Long: `Store secret values sealed, for your workflow pods alone.

A value is sealed on this machine with your namespace's public key. Only the
UserSecret operator can open it, for a pod of yours that asks for it.`,
		Example: `  # Store an OpenAI key; it is asked for, and not shown
  kubectl usersecret create openai --provider openai

  # See what is stored
  kubectl usersecret list`,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2, // letters that may differ in "did you mean"
	}
	cmd.SetIn(env.In)
	cmd.SetOut(env.Out)
	cmd.SetErr(env.ErrOut)
	cmd.SetFlagErrorFunc(explainFlag)
	setTemplates(cmd)
	c := newCluster(env, cmd)
	cmd.AddCommand(newCreate(env, c), newKeys(env, c), newList(env, c), newOnboard(env, c), newReseal(env, c), newSeal(env, c), newTest(env, c), newVersion(env), newOptions())
	addCompletion(cmd)
	return cmd
}

// addCompletion adds cobra's command now and not when the root runs, to have its
// arguments refused as all others are.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		for _, shell := range cmd.Commands() {
			shell.Args = noArguments
		}
	}
}

// noArguments refuses whatever follows the command. It is not repeated, as it
// may be a value in the wrong place.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments: see '%s --help'", cmd.Name(), cmd.CommandPath())
	}
	return nil
}

// knownCommand refuses what is no command. It is asked only then. What was
// typed may be a value: of the two, only our own command is named.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	remedy := "see 'kubectl usersecret --help'"
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		remedy = fmt.Sprintf("did you mean %q?", similar[0])
	}
	return fmt.Errorf("unknown command: %s", remedy)
}

// errInterrupted is the user's Ctrl-C.
var errInterrupted = errors.New("interrupted")

func interrupted(err error) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled)
}
