package certificates

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldOwner owns caBundle in managedFields, and nothing else, so that server-side
// appliers of manifests that leave caBundle out never conflict with it.
const fieldOwner = client.FieldOwner("usersecret-operator-certificates")

// configuration is one of the two webhook configurations, as read from the API server.
type configuration struct {
	kind   string
	object client.Object // a *MutatingWebhookConfiguration or *ValidatingWebhookConfiguration
	exists bool
}

func bothKinds() []configuration {
	return []configuration{
		{kind: "MutatingWebhookConfiguration", object: &admissionv1.MutatingWebhookConfiguration{}},
		{kind: "ValidatingWebhookConfiguration", object: &admissionv1.ValidatingWebhookConfiguration{}},
	}
}

// read fetches the configuration. One that is absent is no error: it may be installed later.
func (c *configuration) read(ctx context.Context, from client.Reader, name string) error {
	err := from.Get(ctx, types.NamespacedName{Name: name}, c.object)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s %s: %w", c.kind, name, err)
	}
	c.exists = true
	return nil
}

// webhook is one webhook of a configuration; its client configuration points into the object.
type webhook struct {
	name   string
	client *admissionv1.WebhookClientConfig
}

func webhooks(object client.Object) []webhook {
	var found []webhook
	switch o := object.(type) {
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			found = append(found, webhook{o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig})
		}
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			found = append(found, webhook{o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig})
		}
	}
	return found
}

// publish writes the bundle into every webhook that has another, and nothing where
// none has. The patch holds caBundle alone, and the resource version that was read:
// a replica that was held up must not put an older bundle back over a newer one.
func (c *configuration) publish(ctx context.Context, to client.Writer, bundle []byte) (written bool, err error) {
	desired := c.object.DeepCopyObject().(client.Object)
	for _, w := range webhooks(desired) {
		if !bytes.Equal(w.client.CABundle, bundle) {
			w.client.CABundle = bundle
			written = true
		}
	}
	if !written {
		return false, nil
	}
	patch := client.StrategicMergeFrom(c.object, client.MergeFromWithOptimisticLock{})
	if err := to.Patch(ctx, desired, patch, fieldOwner); err != nil {
		return false, fmt.Errorf("writing caBundle into the %s %s: %w", c.kind, c.object.GetName(), err)
	}
	c.object = desired
	return true, nil
}

// carries returns nil where every webhook of the configuration trusts the CA, else
// an error that says what is missing.
func (c *configuration) carries(ca *x509.Certificate, name string) error {
	if !c.exists {
		return fmt.Errorf("there is no %s %s: apply the operator's webhook manifests", c.kind, name)
	}
	all := webhooks(c.object)
	if len(all) == 0 {
		return fmt.Errorf("the %s %s has no webhooks: apply the operator's webhook manifests", c.kind, name)
	}
	var missing []error
	for _, w := range all {
		// What is no certificate is no matter here: publish replaces the whole bundle.
		trusted, _ := decodeBundle(w.client.CABundle)
		if !slices.ContainsFunc(trusted, ca.Equal) {
			missing = append(missing, fmt.Errorf("the %s %s: caBundle of %s lacks the CA that signed this replica's certificate", c.kind, name, w.name))
		}
	}
	return errors.Join(missing...)
}
