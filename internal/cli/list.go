package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// ListOptions are those of 'kubectl usersecret list'.
type ListOptions struct {
	env     *Environment
	cluster *cluster

	everywhere bool
	noHeaders  bool
	selector   string
	print      *genericclioptions.PrintFlags

	labels labels.Selector
}

// chunk is how many objects one request asks for; each has a sealed value of up
// to 88 KiB in it.
const chunk = 100

var (
	errListName = errors.New("list takes no name: 'kubectl get usersecret NAME' shows one")
	errSelector = errors.New("--selector is no label selector: it is like key=value or 'key in (a,b)'")
)

func newList(env *Environment, c *cluster) *cobra.Command {
	o := &ListOptions{env: env, cluster: c, print: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:     "list [-A] [-l SELECTOR] [-o wide]",
		Aliases: []string{"ls"},
		Short:   "List UserSecrets by provider",
		Long: `List UserSecrets by provider: what they are for, whether pods can get them, and
how much they are used. Values are not shown, for nobody can read them there.`,
		Example: `  # List what is in your namespace
  kubectl usersecret list

  # With key and reason, in all namespaces
  kubectl usersecret list -A -o wide

  # Names alone
  kubectl usersecret list -o name`,
		DisableFlagsInUseLine: true,
		Args:                  noName,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.everywhere, "all-namespaces", "A", false, "List the UserSecrets of all namespaces.")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "Print no column headers.")
	flags.StringVarP(&o.selector, "selector", "l", "", "List those alone whose labels match, such as team=a.")
	o.print.AddFlags(cmd)
	flags.Lookup("output").Usage = "Output format. One of: (json, yaml, kyaml, name, wide, go-template, jsonpath and their relatives)."
	completeWith(cmd, "output", "json", "yaml", "kyaml", "name", "wide")
	return cmd
}

func noName(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errListName
	}
	return nil
}

// Validate reads what is text in the flags.
func (o *ListOptions) Validate() error {
	if !o.table() {
		if _, err := o.printer(); err != nil {
			return err
		}
	}
	var err error
	if o.labels, err = labels.Parse(o.selector); err != nil {
		return errSelector
	}
	return nil
}

// table says whether people are meant to read it.
func (o *ListOptions) table() bool {
	templated := *o.print.TemplatePrinterFlags.TemplateArgument != ""
	return o.wide() || *o.print.OutputFormat == "" && !templated
}

func (o *ListOptions) wide() bool { return *o.print.OutputFormat == "wide" }

// Run lists and prints.
func (o *ListOptions) Run(ctx context.Context) error {
	namespace, err := o.scope()
	if err != nil {
		return err
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	found, err := o.list(ctx, connection, namespace)
	if err != nil {
		return err
	}
	if !o.table() {
		return o.printObjects(found)
	}
	if len(found) == 0 {
		return o.reportNone(namespace)
	}
	return printTable(o.env.Out, o.columns(), found, !o.noHeaders)
}

// scope is the namespace to list; empty for all.
func (o *ListOptions) scope() (string, error) {
	if o.everywhere {
		return "", nil
	}
	return o.cluster.namespace()
}

// list returns the UserSecrets, those of a provider together.
func (o *ListOptions) list(ctx context.Context, from client.Reader, namespace string) ([]v1alpha1.UserSecret, error) {
	var found []v1alpha1.UserSecret
	page := &v1alpha1.UserSecretList{}
	for {
		next := page.Continue
		page = &v1alpha1.UserSecretList{}
		if err := from.List(ctx, page, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: o.labels}, client.Limit(chunk), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("listing UserSecrets: %w", err)
		}
		found = append(found, page.Items...)
		if page.Continue == "" {
			break
		}
	}
	slices.SortFunc(found, func(a, b v1alpha1.UserSecret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Spec.Provider, b.Spec.Provider), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

func (o *ListOptions) reportNone(namespace string) error {
	where := ""
	if namespace != "" {
		where = fmt.Sprintf(" in %s namespace", namespace)
	}
	_, err := fmt.Fprintf(o.env.ErrOut, "No UserSecrets found%s.\n", where)
	return err
}

// printObjects prints a List, as kubectl get does.
func (o *ListOptions) printObjects(found []v1alpha1.UserSecret) error {
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}}}
	for i := range found {
		object, err := asManifest(v1alpha1.GroupVersion.WithKind("UserSecret"), &found[i])
		if err != nil {
			return err
		}
		list.Items = append(list.Items, *object)
	}
	printer, err := o.printer()
	if err != nil {
		return err
	}
	return printer.PrintObj(list, o.env.Out)
}

func (o *ListOptions) printer() (printers.ResourcePrinter, error) {
	printer, err := o.print.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return nil, fmt.Errorf("%w: --output is one of wide, %s", errFormat, strings.Join(o.print.AllowedFormats(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading --output: %w", err)
	}
	return printer, nil
}
