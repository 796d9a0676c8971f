using System.Globalization;
using System.Text.Json.Nodes;
using static OciRegistry.Tests.Charts.Release;

namespace OciRegistry.Tests.Charts;

/// <summary>Who leads to whom in each case: selectors find pods, ports have names, routes have a Service.</summary>
public sealed class RenderedNetworkTests
{
    public static TheoryData<string> Cases => RegistryChart.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_workload_selects_its_own_pods_and_no_others(string name)
    {
        var release = RegistryChart.Rendered(name);

        release.Workloads.ShouldNotBeEmpty();
        foreach (var workload in release.Workloads)
        {
            release.PodsOf(Spec(workload)["selector"]!["matchLabels"]!).ShouldHaveSingleItem().Name.ShouldBe(Name(workload));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_Service_leads_to_a_port_of_one_workload(string name)
    {
        var release = RegistryChart.Rendered(name);
        foreach (var service in release.OfKind("Service"))
        {
            var (owner, pod) = release.PodsOf(Spec(service)["selector"]!).ShouldHaveSingleItem();

            foreach (var port in Entries(Spec(service)["ports"]))
            {
                PortsOf(pod).ShouldContain((string)port["targetPort"]!, owner);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_StatefulSet_has_its_Service_without_an_address(string name)
    {
        var release = RegistryChart.Rendered(name);
        foreach (var set in release.OfKind("StatefulSet"))
        {
            var service = release.Find("Service", (string)Spec(set)["serviceName"]!).ShouldNotBeNull();
            ((string)Spec(service)["clusterIP"]!).ShouldBe("None");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_Ingress_and_a_route_lead_to_the_Service_by_paths_that_are_no_operators(string name)
    {
        var release = RegistryChart.Rendered(name);
        string[] paths = name == "everything" ? ["/v2", "/token", "/admin"] : ["/v2", "/token"];
        foreach (var path in release.OfKind("Ingress").SelectMany(ingress => Entries(Spec(ingress)["rules"])).SelectMany(rule => Entries(rule["http"]!["paths"])))
        {
            var target = path["backend"]!["service"]!;
            var service = release.Find("Service", (string)target["name"]!).ShouldNotBeNull();
            Entries(Spec(service)["ports"]).ShouldContain(port => (string)port["name"]! == (string)target["port"]!["name"]!);
            paths.ShouldContain((string)path["path"]!);
        }

        foreach (var rule in release.OfKind("HTTPRoute").SelectMany(route => Entries(Spec(route)["rules"])))
        {
            var target = Entries(rule["backendRefs"]).ShouldHaveSingleItem();
            var service = release.Find("Service", (string)target["name"]!).ShouldNotBeNull();
            Entries(Spec(service)["ports"]).ShouldContain(port => (int)port["port"]! == (int)target["port"]!);
            Entries(rule["matches"]).Select(match => (string)match["path"]!["value"]!).ShouldBe(paths);
        }
    }

    [Fact]
    public void An_Ingress_of_nginx_neither_limits_nor_keeps_bodies()
    {
        var annotations = Annotations(RegistryChart.Rendered("filesystem-ingress").OfKind("Ingress").Single());

        annotations["nginx.ingress.kubernetes.io/proxy-body-size"].ShouldBe("0");
        annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"].ShouldBe("off");
        annotations["nginx.ingress.kubernetes.io/proxy-buffering"].ShouldBe("off");
        annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"].ShouldBe("1800", "the values' own count");
        int.Parse(annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"], CultureInfo.InvariantCulture).ShouldBeGreaterThan(60);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Metrics_are_read_from_one_Service_by_a_port_that_it_has(string name)
    {
        var release = RegistryChart.Rendered(name);
        foreach (var monitor in release.OfKind("ServiceMonitor"))
        {
            var service = release.OfKind("Service")
                .Where(one => Selects(Spec(monitor)["selector"]!["matchLabels"]!, Labels(one)))
                .ShouldHaveSingleItem();
            var endpoint = Entries(Spec(monitor)["endpoints"]).ShouldHaveSingleItem();
            Entries(Spec(service)["ports"]).ShouldContain(port => (string)port["name"]! == (string)endpoint["port"]!);
            ((string)endpoint["path"]!).ShouldBe("/metrics");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Policies_and_budgets_are_of_pods_that_there_are(string name)
    {
        var release = RegistryChart.Rendered(name);
        foreach (var budget in release.OfKind("PodDisruptionBudget"))
        {
            release.PodsOf(Spec(budget)["selector"]!["matchLabels"]!).ShouldHaveSingleItem().Name.ShouldBe(Name(release.Workload));
        }

        foreach (var policy in release.OfKind("NetworkPolicy"))
        {
            var (owner, pod) = release.PodsOf(Spec(policy)["podSelector"]!["matchLabels"]!).ShouldHaveSingleItem();
            foreach (var port in Entries(Spec(policy)["ingress"]).SelectMany(rule => Entries(rule["ports"])))
            {
                PortsOf(pod).ShouldContain((string)port["port"]!, owner);
            }
        }

        foreach (var scaler in release.OfKind("HorizontalPodAutoscaler"))
        {
            var target = Spec(scaler)["scaleTargetRef"]!;
            Kind(target).ShouldBe(Kind(release.Workload));
            ((string)target["name"]!).ShouldBe(Name(release.Workload));
            Spec(release.Workload)["replicas"].ShouldBeNull("two would decide");
        }
    }

    [Fact]
    public void A_strict_network_policy_lets_the_test_the_metrics_and_the_Redis_through()
    {
        var release = RegistryChart.Rendered("network-policy");
        var policy = Spec(release.Find("NetworkPolicy", Name(release.Workload))!);
        var test = Labels(release.OfKind("Pod").Single());
        var redis = release.Pods.Single(one => one.Name.EndsWith("-redis", StringComparison.Ordinal));

        PeersOf(policy["ingress"], "from").ShouldContain(peer => peer["podSelector"] != null && Selects(peer["podSelector"]!["matchLabels"]!, test));
        PeersOf(policy["egress"], "to").ShouldContain(peer => peer["podSelector"] != null && Selects(peer["podSelector"]!["matchLabels"]!, Labels(redis.Pod)));
        var scraped = Entries(policy["ingress"]).Single(rule => rule.ToJsonString().Contains("prometheus", StringComparison.Ordinal));
        Entries(scraped["ports"]).Select(port => (string)port["port"]!).ShouldBe(["operations"], "the registry itself is not for Prometheus");
        policy["policyTypes"]!.ToJsonString().ShouldBe("""["Ingress","Egress"]""");
    }

    [Fact]
    public void Workload_identity_is_with_the_account_and_the_pods()
    {
        var release = RegistryChart.Rendered("azure-workload-identity");
        var account = release.OfKind("ServiceAccount").Single();
        var pod = release.Workload["spec"]!["template"]!;

        Annotations(account)["azure.workload.identity/client-id"].ShouldBe("00000000-0000-0000-0000-000000000001");
        Labels(pod)["azure.workload.identity/use"].ShouldBe("true");
        ((string)Spec(pod)["serviceAccountName"]!).ShouldBe(Name(account));
    }

    [Fact]
    public void The_alerts_and_the_dashboard_are_those_of_the_files()
    {
        var release = RegistryChart.Rendered("monitoring");
        var rules = Spec(release.OfKind("PrometheusRule").Single())["groups"]!.AsArray();
        var alerts = Yaml.Document(RegistryChart.Read("files", "alerts.yaml"))["groups"]!.AsArray();
        var dashboard = release.OfKind("ConfigMap").Single(map => Labels(map).ContainsKey("grafana_dashboard"))["data"]!.AsObject().Single().Value;

        rules.Count.ShouldBe(alerts.Count + 1, "and that of the values");
        rules.Zip(alerts).ShouldAllBe(pair => JsonNode.DeepEquals(pair.First, pair.Second));
        rules.ToJsonString().ShouldContain("$labels.", customMessage: "what is for Prometheus stays for it");
        JsonNode.DeepEquals(JsonNode.Parse((string)dashboard!), JsonNode.Parse(RegistryChart.Read("files", "dashboard.json"))).ShouldBeTrue();
    }

    private static IEnumerable<string> PortsOf(JsonNode pod) =>
        Containers(pod).SelectMany(container => Entries(container["ports"])).Select(port => (string)port["name"]!);

    private static IEnumerable<JsonObject> PeersOf(JsonNode? rules, string direction) =>
        Entries(rules).SelectMany(rule => Entries(rule[direction]));
}
