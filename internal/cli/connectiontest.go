package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/verify"
)

// TestOptions are those of 'kubectl usersecret test'.
type TestOptions struct {
	env     *Environment
	cluster *cluster

	names   []string
	all     bool
	timeout time.Duration
}

var (
	errNoTestName  = errors.New("NAME is missing: give the names of UserSecrets, or --all")
	errNamesAndAll = errors.New("--all takes no names: give one or the other")
	errNoSuchName  = errors.New("there is no UserSecret of that name: 'kubectl usersecret list' shows those there are")
	errDisabled    = errors.New("spec.verification.mode is Disabled: set it to OnChange or OnDemand to have the value tested")
	errNoVerdict   = errors.New("no verdict came in time, but one still may: see 'kubectl describe usersecret', and ask an administrator whether the operator runs tests")
	errNotAccepted = errors.New("not accepted")
)

func newTest(env *Environment, c *cluster) *cobra.Command {
	o := &TestOptions{env: env, cluster: c}
	cmd := &cobra.Command{
		Use:   "test (NAME... | --all)",
		Short: "Have the operator test stored values against their providers",
		Long: `Have the operator test stored values against their providers.

The operator sends each value to its provider, as the catalogue says, and this
prints what came of it. The verdict stands in condition Verified too. A value that
is not accepted stays as it is, and pods still get it.

It succeeds where every value is accepted. With --all, values that cannot be tested
do not count. A value is tested at most every 10 seconds.`,
		Example: `  # Is the OpenAI key good?
  kubectl usersecret test openai

  # All that is in your namespace
  kubectl usersecret test --all`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "Test every UserSecret of the namespace.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "How long to wait for the verdicts, all together.")
	return cmd
}

// Validate refuses what cannot work.
func (o *TestOptions) Validate() error {
	switch {
	case len(o.names) == 0 && !o.all:
		return errNoTestName
	case len(o.names) > 0 && o.all:
		return errNamesAndAll
	}
	return nil
}

// request is a test that was asked for.
type request struct {
	name types.NamespacedName
	at   time.Time
	err  error // why it was not
}

// Run asks for all tests, and then waits for one verdict after the other.
func (o *TestOptions) Run(ctx context.Context) error {
	namespace, err := o.cluster.namespace()
	if err != nil {
		return err
	}
	connection, err := o.cluster.connect()
	if err != nil {
		return err
	}
	targets, err := o.targets(ctx, connection, namespace)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		_, err := fmt.Fprintf(o.env.ErrOut, "No UserSecrets found in %s namespace.\n", namespace)
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	requests := make([]request, 0, len(targets))
	for i := range targets {
		requests = append(requests, o.ask(ctx, connection, &targets[i]))
	}
	failed := 0
	for _, r := range requests {
		accepted, err := o.tell(waiting, connection, r)
		if err != nil {
			return err
		}
		if !accepted {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d values: %w, for the reasons above", failed, len(requests), errNotAccepted)
	}
	return nil
}

// targets are the UserSecrets that are named. They are looked up in the list, and
// not by name: what was typed may be a value, and would stand in the API server's
// log.
func (o *TestOptions) targets(ctx context.Context, from client.Reader, namespace string) ([]v1alpha1.UserSecret, error) {
	list := &ListOptions{env: o.env, cluster: o.cluster, labels: labels.Everything()}
	found, err := list.list(ctx, from, namespace)
	if err != nil || o.all {
		return found, err
	}
	var named []v1alpha1.UserSecret
	for _, name := range o.names {
		i := slices.IndexFunc(found, func(us v1alpha1.UserSecret) bool { return us.Name == name })
		if i < 0 {
			return nil, errNoSuchName
		}
		named = append(named, found[i])
	}
	return named, nil
}

// ask asks for a test, later than whoever asked before.
func (o *TestOptions) ask(ctx context.Context, to client.Writer, us *v1alpha1.UserSecret) request {
	r := request{name: client.ObjectKeyFromObject(us), at: o.env.Now().UTC().Truncate(time.Microsecond)}
	if v := us.Spec.Verification; v != nil && v.Mode == v1alpha1.VerifyDisabled {
		r.err = errDisabled
		return r
	}
	if before, err := verify.ParseRequest(us.Annotations[v1alpha1.VerifyRequestedAtAnnotation]); err == nil && !r.at.After(before) {
		r.at = before.Add(time.Microsecond)
	}
	if answered := answeredAt(us); !r.at.After(answered) {
		r.at = answered.Add(time.Microsecond)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.VerifyRequestedAtAnnotation, verify.FormatRequest(r.at))
	r.err = to.Patch(ctx, us.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager))
	return r
}

// answeredAt is the newest request that was answered; zero for none.
func answeredAt(us *v1alpha1.UserSecret) time.Time {
	if us.Status.Verification == nil || us.Status.Verification.RequestedAt == nil {
		return time.Time{}
	}
	return us.Status.Verification.RequestedAt.Time
}

// tell waits for a verdict and prints it. The error is one of printing, or the
// user's Ctrl-C.
func (o *TestOptions) tell(ctx context.Context, from client.Reader, r request) (accepted bool, err error) {
	verdict := &metav1.Condition{}
	if r.err == nil {
		verdict, r.err = o.await(ctx, from, r)
	}
	if interrupted(r.err) {
		return false, r.err
	}
	if r.err != nil {
		_, err = fmt.Fprintf(o.env.Out, "usersecret.usersecrets.dev/%s not tested: %s\n", r.name.Name, explain(r.err))
		return false, err
	}
	_, err = fmt.Fprintf(o.env.Out, "usersecret.usersecrets.dev/%s %s: %s\n", r.name.Name, words[verdict.Reason], oneLine(verdict.Message))
	return verdict.Reason == v1alpha1.ReasonAccepted || o.all && verdict.Reason == v1alpha1.ReasonNotTestable, err
}

// words are what the reasons of Verified are called in a line.
var words = map[string]string{
	v1alpha1.ReasonAccepted:    "accepted",
	v1alpha1.ReasonRejected:    "rejected",
	v1alpha1.ReasonUnreachable: "unreachable",
	v1alpha1.ReasonNotTestable: "not testable",
}

// await returns the verdict on the value that there is when the request is
// answered.
func (o *TestOptions) await(ctx context.Context, from client.Reader, r request) (*metav1.Condition, error) {
	for {
		us := &v1alpha1.UserSecret{}
		if err := from.Get(ctx, r.name, us); err != nil {
			if ctx.Err() != nil {
				return nil, whyEnded(ctx, errNoVerdict)
			}
			return nil, fmt.Errorf("reading it: %w", err)
		}
		verdict := condition(us.Status.Conditions, v1alpha1.ConditionVerified)
		if verdict != nil && !answeredAt(us).Before(r.at) {
			return verdict, nil
		}
		if sealed := condition(us.Status.Conditions, v1alpha1.ConditionSealed); sealed != nil && sealed.Status == metav1.ConditionFalse {
			return nil, errors.New(strings.TrimSpace(sealed.Message))
		}
		if err := pause(ctx, errNoVerdict); err != nil {
			return nil, err
		}
	}
}
