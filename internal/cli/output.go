package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// output is the flag -o of the commands that make objects.
type output struct {
	format  string
	allowed []string
}

var errFormat = errors.New("unknown output format")

func (o *output) bind(cmd *cobra.Command, allowed ...string) {
	o.allowed = allowed
	cmd.Flags().StringVarP(&o.format, "output", "o", o.format, fmt.Sprintf("Output format. One of: (%s).", strings.Join(allowed, ", ")))
	completeWith(cmd, "output", allowed...)
}

func (o *output) validate() error {
	if o.format == "" || slices.Contains(o.allowed, o.format) {
		return nil
	}
	return fmt.Errorf("%w: --output is one of %s", errFormat, strings.Join(o.allowed, ", "))
}

// result is an object and what was done with it.
type result struct {
	object    runtime.Object
	operation string // such as "created"
}

// print prints results as kubectl would: a line each, or the objects.
func (o *output) print(w io.Writer, results ...result) error {
	objects, err := o.objectPrinter()
	if err != nil {
		return err
	}
	for _, r := range results {
		printer := objects
		if printer == nil {
			printer = &printers.NamePrinter{ShortOutput: o.format == "name", Operation: r.operation}
		}
		if err := printer.PrintObj(r.object, w); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// objectPrinter is nil where only names are printed. Several objects need the
// same printer, which separates them.
func (o *output) objectPrinter() (printers.ResourcePrinter, error) {
	if o.format == "" || o.format == "name" {
		return nil, nil
	}
	printer, err := genericclioptions.NewJSONYamlPrintFlags().ToPrinter(o.format)
	if err != nil {
		return nil, fmt.Errorf("choosing a printer: %w", err)
	}
	return printer, nil
}

// completeWith has the shell complete a flag with these words.
func completeWith(cmd *cobra.Command, flag string, words ...string) {
	// It fails only for a flag that does not exist, or was registered before.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
