package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// errValueOnCommandLine refuses a value where it would outlive the command.
var errValueOnCommandLine = errors.New("a value is never taken from the command line, where the shell's history and the list of processes would show it: leave it out and you are asked for it, or give --from-file or --from-env")

// explainFlag says what is wrong with a flag. pflag's own messages repeat what
// was typed, which may be a value in the wrong place; these name flags of our
// own alone.
func explainFlag(cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		syntax  *pflag.InvalidSyntaxError
	)
	help := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	switch {
	case errors.Is(err, errValueOnCommandLine):
		return errValueOnCommandLine
	case errors.As(err, &invalid):
		return fmt.Errorf("the argument of --%s is no %s: %s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type(), help)
	case errors.As(err, &unknown):
		if similar := similarFlag(cmd, unknown); similar != "" {
			help = fmt.Sprintf("did you mean --%s?", similar)
		}
		return fmt.Errorf("unknown flag: %s", help)
	case errors.As(err, &missing):
		return fmt.Errorf("flag --%s needs an argument: %s", missing.GetFlag().Name, help)
	case errors.As(err, &syntax):
		return fmt.Errorf("a flag is written --name=argument: %s", help)
	}
	return err
}

// similarFlag is the flag that was meant, perhaps, by the measure that cobra has
// for commands; empty where none is near, and for short ones.
func similarFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	if unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	flags := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	for _, letters := range []int{1, cmd.Root().SuggestionsMinimumDistance} {
		flags.SuggestionsMinimumDistance = letters
		if similar := flags.SuggestionsFor(unknown.GetSpecifiedName()); len(similar) > 0 {
			return similar[0]
		}
	}
	return ""
}

// refusedFlag is a flag that people will try, to be told why there is none.
type refusedFlag struct{}

func (refusedFlag) String() string   { return "" }
func (refusedFlag) Type() string     { return "string" }
func (refusedFlag) Set(string) error { return errValueOnCommandLine }

// refuseValueFlags has the flags with which other tools take a value refused
// with the reason.
func refuseValueFlags(flags *pflag.FlagSet) {
	for _, name := range []string{"value", "from-literal"} {
		flags.Var(refusedFlag{}, name, "")
		// The flag was made in the line above.
		_ = flags.MarkHidden(name)
	}
}
