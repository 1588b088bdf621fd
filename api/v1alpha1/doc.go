// Package v1alpha1 is the API of the UserSecret operator, group
// usersecrets.dev, version v1alpha1.
//
// Types here carry names, bounds and CEL rules, and no behaviour: whatever one
// object can say about itself is checked by the API server from these markers;
// what needs to know the requester or another object is checked by the webhook.
//
// +kubebuilder:object:generate=true
// +groupName=usersecrets.dev
package v1alpha1
