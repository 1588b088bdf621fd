package lab

import (
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// AwaitAdmission returns when every admission policy, binding and webhook configuration written before the call is
// enforced. The API server gives no sign of that, and compiles policies once a second. But it
// takes them in the order of their writing: so a policy and two webhooks that refuse one
// ConfigMap are written now, and once they refuse, whatever came earlier is in force. They are
// removed again.
func (l *Lab) AwaitAdmission(ctx context.Context) (err error) {
	api, err := kubernetes.NewForConfig(l.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	canary := admissionCanary{api: api, name: "lab-canary-" + rand.String(8)}
	defer func() {
		// Not with ctx, which may be what ended the wait.
		if removal := canary.remove(context.WithoutCancel(ctx)); err == nil {
			err = removal
		}
	}()
	if err := canary.write(ctx); err != nil {
		return fmt.Errorf("writing the admission canary: %w", err)
	}
	for _, guard := range canaryGuards {
		if err := canary.awaitRefusal(ctx, guard); err != nil {
			return err
		}
	}
	return nil
}

// canaryGuards each refuse a ConfigMap of their own, since the first to refuse hides the others.
var canaryGuards = []string{"mutating", "validating", "policy"}

type admissionCanary struct {
	api  kubernetes.Interface
	name string
}

func (c admissionCanary) write(ctx context.Context) error {
	registry := c.api.AdmissionregistrationV1()
	meta, created := metav1.ObjectMeta{Name: c.name}, metav1.CreateOptions{}
	if _, err := registry.MutatingWebhookConfigurations().Create(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: c.name + ".lab.invalid", ClientConfig: nowhere(), Rules: creationOfConfigMaps(),
			MatchConditions: c.onlyFor("mutating"), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), AdmissionReviewVersions: []string{"v1"},
		}},
	}, created); err != nil {
		return err
	}
	if _, err := registry.ValidatingWebhookConfigurations().Create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: c.name + ".lab.invalid", ClientConfig: nowhere(), Rules: creationOfConfigMaps(),
			MatchConditions: c.onlyFor("validating"), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), AdmissionReviewVersions: []string{"v1"},
		}},
	}, created); err != nil {
		return err
	}
	if _, err := registry.ValidatingAdmissionPolicies().Create(ctx, c.policy(), created); err != nil {
		return err
	}
	_, err := registry.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: c.name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, created)
	return err
}

func (c admissionCanary) policy() *admissionregistrationv1.ValidatingAdmissionPolicy {
	rules := []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: creationOfConfigMaps()[0]}}
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: c.name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: rules},
			MatchConditions:  c.onlyFor("policy"),
			Validations:      []admissionregistrationv1.Validation{{Expression: "false", Message: c.name + " refuses"}},
		},
	}
}

// onlyFor keeps a guard from everything but its own ConfigMap, whatever else is created meanwhile.
func (c admissionCanary) onlyFor(guard string) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{
		Name: "canary", Expression: fmt.Sprintf("request.name == '%s-%s'", c.name, guard),
	}}
}

func creationOfConfigMaps() []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}}
}

// nowhere is an address where nothing listens: a webhook there refuses by its failure policy.
func nowhere() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")}
}

// awaitRefusal creates the guard's ConfigMap, as a dry run, until the guard itself refuses it: its name is in the message.
func (c admissionCanary) awaitRefusal(ctx context.Context, guard string) error {
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.name + "-" + guard, Namespace: metav1.NamespaceDefault}}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	return Await(ctx, "admission to enforce a canary "+guard, func(ctx context.Context) (bool, error) {
		_, err := c.api.CoreV1().ConfigMaps(probe.Namespace).Create(ctx, probe, dryRun)
		if err == nil {
			return false, nil
		}
		refused := apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsInternalError(err)
		if refused && strings.Contains(err.Error(), c.name) {
			return true, nil
		}
		return false, err
	})
}

func (c admissionCanary) remove(ctx context.Context) error {
	registry := c.api.AdmissionregistrationV1()
	for _, remove := range []func(context.Context, string, metav1.DeleteOptions) error{
		registry.MutatingWebhookConfigurations().Delete,
		registry.ValidatingWebhookConfigurations().Delete,
		registry.ValidatingAdmissionPolicyBindings().Delete,
		registry.ValidatingAdmissionPolicies().Delete,
	} {
		if _, err := found(remove(ctx, c.name, metav1.DeleteOptions{})); err != nil {
			return fmt.Errorf("removing the admission canary: %w", err)
		}
	}
	return nil
}
