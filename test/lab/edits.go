package lab

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// WebhookURL has webhooks called at base (such as https://127.0.0.1:9443) instead of a Service, which
// nothing in a lab would serve: in webhook configurations, clientConfig.service becomes
// clientConfig.url, with the service's path. Other objects, and webhooks by URL, stay as they are.
func WebhookURL(base string) Edit {
	return func(object *unstructured.Unstructured) error {
		switch object.GetKind() {
		case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		default:
			return nil
		}
		webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		if err != nil {
			return err
		}
		for i := range webhooks {
			webhook, ok := webhooks[i].(map[string]any)
			if !ok {
				return fmt.Errorf("webhooks[%d] is no object", i)
			}
			if err := serviceToURL(webhook, base); err != nil {
				return fmt.Errorf("webhooks[%d]: %w", i, err)
			}
		}
		return unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
	}
}

func serviceToURL(webhook map[string]any, base string) error {
	_, served, err := unstructured.NestedMap(webhook, "clientConfig", "service")
	if err != nil || !served {
		return err
	}
	path, _, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
	if err != nil {
		return err
	}
	unstructured.RemoveNestedField(webhook, "clientConfig", "service")
	return unstructured.SetNestedField(webhook, base+path, "clientConfig", "url")
}
