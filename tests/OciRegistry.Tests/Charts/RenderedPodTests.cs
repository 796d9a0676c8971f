using System.Text.Json.Nodes;
using OciRegistry.Server;
using static OciRegistry.Tests.Charts.Release;

namespace OciRegistry.Tests.Charts;

/// <summary>The pods of each case: who they are, what they are asked, and that what they need is there.</summary>
public sealed class RenderedPodTests
{
    public static TheoryData<string> Cases => RegistryChart.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_container_may_as_little_as_can_be(string name)
    {
        foreach (var (owner, pod) in RegistryChart.Rendered(name).Pods)
        {
            var ofPod = Spec(pod)["securityContext"]!;
            ((bool)ofPod["runAsNonRoot"]!).ShouldBeTrue(owner);
            ((int)ofPod["runAsUser"]!).ShouldBeGreaterThan(0, owner);
            ((string)ofPod["seccompProfile"]!["type"]!).ShouldBe("RuntimeDefault", owner);
            if (name != "everything") // which has it on
            {
                ((bool)Spec(pod)["automountServiceAccountToken"]!).ShouldBeFalse(owner);
            }

            foreach (var container in Containers(pod))
            {
                var context = container["securityContext"]!;
                ((bool)context["readOnlyRootFilesystem"]!).ShouldBeTrue(owner);
                ((bool)context["allowPrivilegeEscalation"]!).ShouldBeFalse(owner);
                context["capabilities"]!["drop"]!.ToJsonString().ShouldBe("""["ALL"]""", owner);
                container["resources"]!["limits"]!["memory"].ShouldNotBeNull(owner);
                ((string)container["image"]!).ShouldMatch("^[a-z0-9][a-z0-9./-]*(:[0-9A-Za-z_.-]+|@sha256:[0-9a-f]{64})$", owner);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_server_is_asked_on_the_port_that_it_listens_on(string name)
    {
        var server = RegistryChart.Rendered(name).Server;
        string[] urls =
        [
            .. server["args"]!.AsArray().Select(argument => (string)argument!).Where(argument =>
                argument.StartsWith("--urls=", StringComparison.Ordinal) || argument.StartsWith("--OciRegistry:Operations:Urls=", StringComparison.Ordinal)),
        ];
        var ports = Entries(server["ports"]).ToList();
        urls.Select(url => url.Split(':')[^1]).ShouldBe(ports.Select(port => port["containerPort"]!.ToString()));

        // That of operations, where there is one, comes last.
        var (url, port) = (urls[^1], ports[^1]);
        foreach (var (probe, path) in (IEnumerable<(string, string)>)[("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")])
        {
            var asked = server[probe]!["httpGet"]!;
            ((string)asked["path"]!).ShouldBe(path);
            ((string)asked["port"]!).ShouldBe((string)port["name"]!);
            url.ShouldContain($"={((string)asked["scheme"]!).ToLowerInvariant()}://");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Kubernetes_does_not_kill_before_the_server_has_ended(string name)
    {
        var release = RegistryChart.Rendered(name);
        var drain = JsonNode.Parse((string)release.Find("ConfigMap", Name(release.Workload))!["data"]!["appsettings.json"]!)!["OciRegistry"]!["Drain"]!;
        var needed = TimeSpan.Parse((string)drain["Announce"]!) + TimeSpan.Parse((string)drain["Deadline"]!) + Stopping.RecordTime;

        ((int)Spec(release.Workload["spec"]!["template"]!)["terminationGracePeriodSeconds"]!).ShouldBeGreaterThanOrEqualTo((int)needed.TotalSeconds);
        release.Server["lifecycle"].ShouldBeNull("the server drains by itself");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_is_mounted_is_a_volume_and_every_volume_is_mounted(string name)
    {
        foreach (var (owner, pod) in RegistryChart.Rendered(name).Pods)
        {
            var mounted = Containers(pod).SelectMany(container => Entries(container["volumeMounts"])).Select(mount => (string)mount["name"]!).Distinct();
            var volumes = Entries(Spec(pod)["volumes"]).Select(volume => (string)volume["name"]!)
                .Concat(RegistryChart.Rendered(name).Workloads.Where(workload => Name(workload) == owner)
                    .SelectMany(workload => Entries(Spec(workload)["volumeClaimTemplates"]))
                    .Select(Name));

            mounted.ShouldBe(volumes, ignoreOrder: true, owner);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_is_referred_to_is_of_the_chart_or_named_in_the_values(string name)
    {
        var release = RegistryChart.Rendered(name);
        var values = RegistryChart.ValuesOf(name).ToJsonString();
        foreach (var (kind, other, key) in release.Pods.SelectMany(one => References(one.Pod)).Distinct())
        {
            var made = release.Find(kind, other);
            if (made is null)
            {
                values.ShouldContain($"\"{other}\"", customMessage: $"{kind} {other}");
            }
            else if (key is not null)
            {
                (made["data"] ?? made["stringData"])!.AsObject().ShouldContainKey(key);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_the_chart_makes_is_used(string name)
    {
        var release = RegistryChart.Rendered(name);
        var used = release.Pods.SelectMany(one => References(one.Pod)).Select(reference => (reference.Kind, reference.Name)).ToHashSet();

        release.Objects.Where(one => Kind(one) is "Secret" or "PersistentVolumeClaim" or "ServiceAccount" || (Kind(one) == "ConfigMap" && !IsForOthers(one)))
            .Select(one => (Kind(one), Name(one)))
            .ShouldBeSubsetOf(used);
    }

    // Grafana's, and what extraObjects bring.
    private static bool IsForOthers(JsonObject one) =>
        one["metadata"]!["labels"] is null || Labels(one)["app.kubernetes.io/component"] == "dashboard";

    private static IEnumerable<(string Kind, string Name, string? Key)> References(JsonObject pod)
    {
        if ((string?)Spec(pod)["serviceAccountName"] is { } account)
        {
            yield return ("ServiceAccount", account, null);
        }

        foreach (var secret in Entries(Spec(pod)["imagePullSecrets"]))
        {
            yield return ("Secret", Text(secret["name"]), null);
        }

        foreach (var volume in Entries(Spec(pod)["volumes"]))
        {
            if (volume["persistentVolumeClaim"] is { } claim)
            {
                yield return ("PersistentVolumeClaim", Text(claim["claimName"]), null);
            }

            if (volume["configMap"] is { } map)
            {
                yield return ("ConfigMap", Text(map["name"]), null);
            }

            foreach (var key in volume["secret"] is { } secret
                ? Entries(secret["items"]).Select(item => (string?)Text(item["key"])).DefaultIfEmpty()
                : [])
            {
                yield return ("Secret", Text(volume["secret"]!["secretName"]), key);
            }
        }

        foreach (var container in Containers(pod))
        {
            foreach (var reference in Entries(container["env"]).Select(variable => variable["valueFrom"]?["secretKeyRef"]).OfType<JsonNode>())
            {
                yield return ("Secret", Text(reference["name"]), Text(reference["key"]));
            }

            foreach (var reference in Entries(container["envFrom"]).Select(source => source["secretRef"]).OfType<JsonNode>())
            {
                yield return ("Secret", Text(reference["name"]), null);
            }
        }
    }

    private static string Text(JsonNode? node) => (string)node!;
}
