// Decodes the YAML files that it is given into the types of Kubernetes, strictly: a field that a type does not have, a key
// that is there twice and a value of another kind are errors, as are names and labels that the API server would refuse.
// It is built with what Debian's golang-k8s-api-dev has, without a module proxy: GO111MODULE=off, GOPATH=/usr/share/gocode.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var kinds = map[metav1.TypeMeta]func() metav1.Object{
	kind("apps/v1", "Deployment"):                      func() metav1.Object { return &appsv1.Deployment{} },
	kind("apps/v1", "StatefulSet"):                     func() metav1.Object { return &appsv1.StatefulSet{} },
	kind("autoscaling/v2", "HorizontalPodAutoscaler"):  func() metav1.Object { return &autoscalingv2.HorizontalPodAutoscaler{} },
	kind("v1", "ConfigMap"):                            func() metav1.Object { return &corev1.ConfigMap{} },
	kind("v1", "PersistentVolumeClaim"):                func() metav1.Object { return &corev1.PersistentVolumeClaim{} },
	kind("v1", "Pod"):                                  func() metav1.Object { return &corev1.Pod{} },
	kind("v1", "Secret"):                               func() metav1.Object { return &corev1.Secret{} },
	kind("v1", "Service"):                              func() metav1.Object { return &corev1.Service{} },
	kind("v1", "ServiceAccount"):                       func() metav1.Object { return &corev1.ServiceAccount{} },
	kind("networking.k8s.io/v1", "Ingress"):            func() metav1.Object { return &networkingv1.Ingress{} },
	kind("networking.k8s.io/v1", "NetworkPolicy"):      func() metav1.Object { return &networkingv1.NetworkPolicy{} },
	kind("policy/v1", "PodDisruptionBudget"):           func() metav1.Object { return &policyv1.PodDisruptionBudget{} },
	kind("gateway.networking.k8s.io/v1", "HTTPRoute"):  func() metav1.Object { return &httpRoute{} },
	kind("monitoring.coreos.com/v1", "ServiceMonitor"): func() metav1.Object { return &serviceMonitor{} },
	kind("monitoring.coreos.com/v1", "PrometheusRule"): func() metav1.Object { return &prometheusRule{} },
}

func kind(version, name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: name}
}

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		count, problems := decodeFile(path)
		for _, problem := range problems {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, problem)
		}
		fmt.Printf("%s: %d objects\n", path, count)
	}
	if failed {
		os.Exit(1)
	}
}

func decodeFile(path string) (count int, problems []error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, []error{err}
	}

	documents := k8syaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return count, problems
		}
		if err != nil {
			return count, append(problems, err)
		}
		if isEmpty(document) {
			continue
		}

		count++
		name, found := decode(document)
		for _, problem := range found {
			problems = append(problems, fmt.Errorf("document %d (%s): %w", count, name, problem))
		}
	}
}

func isEmpty(document []byte) bool {
	for _, line := range strings.Split(string(document), "\n") {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

func decode(document []byte) (string, []error) {
	content, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return "?", []error{err}
	}

	var is metav1.TypeMeta
	if err := json.UnmarshalCaseSensitivePreserveInts(content, &is); err != nil {
		return "?", []error{err}
	}
	create, known := kinds[is]
	if !known {
		return is.Kind, []error{fmt.Errorf("%s of %s is no kind that is known here", is.Kind, is.APIVersion)}
	}

	object := create()
	problems, err := json.UnmarshalStrict(content, object)
	if err != nil {
		problems = append(problems, err)
	}
	return is.Kind + " " + object.GetName(), append(problems, problemsOfMeta(object)...)
}

func problemsOfMeta(object metav1.Object) (problems []error) {
	add := func(what string, messages []string) {
		for _, message := range messages {
			problems = append(problems, fmt.Errorf("%s: %s", what, message))
		}
	}

	add("name", validation.IsDNS1123Subdomain(object.GetName()))
	if _, isService := object.(*corev1.Service); isService {
		add("name of a Service", validation.IsDNS1035Label(object.GetName()))
	}
	for key, value := range object.GetLabels() {
		add("label "+key, validation.IsQualifiedName(key))
		add("label "+key, validation.IsValidLabelValue(value))
	}
	for key := range object.GetAnnotations() {
		add("annotation "+key, validation.IsQualifiedName(key))
	}
	return problems
}
