using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Telemetry;

/// <summary>What Prometheus itself says of the metrics, of the chart's alerts and of its dashboard.</summary>
public sealed class PrometheusTests
{
    private static string Files => Path.Combine(Checkout.Root, "charts", "registry", "files");

    [Fact]
    public async Task The_metrics_of_a_server_that_was_used_are_right_and_well_named()
    {
        _ = Tool.Require("promtool");
        await using var folder = new TempFolder();
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.RateLimitRemaining = 76;
        upstream.AddImage("a", "v1");
        await using var accounts = await Accounts.CreateAsync();
        await using var server = await ServerProcess.StartWithAsync(
            null,
            [
                $"OciRegistry:Storage:FileSystem:Root={folder["data"]}",
                "OciRegistry:PullThrough:Upstreams:0:Prefix=up",
                $"OciRegistry:PullThrough:Upstreams:0:Url={upstream.Url}",
                "OciRegistry:PullThrough:SweepInterval=00:00:01",
                "OciRegistry:Auth:FailedLoginDelay=00:00:00",
                "OciRegistry:Auth:Policies:0:Name=everybody",
                "OciRegistry:Auth:Policies:0:Subjects:0=anonymous",
                "OciRegistry:Auth:Policies:0:Repositories:0=**",
                "OciRegistry:Auth:Policies:0:Actions:0=pull",
                "OciRegistry:Auth:Policies:0:Actions:1=push",
                .. accounts.Settings(Login.Basic),
            ]);
        var repository = RegistryClient.NewRepository();
        await server.Http.PushImageAsync(repository, "v1");
        (await server.Http.GetManifestAsync(repository, "v1")).Dispose();
        (await server.Http.GetManifestAsync("up/a", "v1")).Dispose();
        (await server.Http.GetManifestAsync(repository, "none")).Dispose();
        (await server.Http.RequestAsync("ODD", "/v2/")).Dispose();
        using (var login = new HttpRequestMessage(HttpMethod.Get, "/v2/"))
        {
            login.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes("alice:wrong")));
            (await server.Http.SendAsync(login)).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        }

        var location = await server.Http.NewUploadAsync(repository);
        (await server.Http.PatchAsync(location, "abc"u8.ToArray())).Dispose();
        (await server.Http.DeleteAsync(location)).Dispose();
        var metrics = await server.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        var file = folder["metrics"];
        await File.WriteAllTextAsync(file, metrics);

        var result = await Tool.Require("sh").TryRunAsync("-c", $"exec promtool check metrics < '{file}'");

        result.ExitCode.ShouldBe(0, result.ToString());
        (result.Output + result.Error).ShouldBeEmpty();
        metrics.ShouldContain("oci_registry_logins_failed_total 1\n");
        metrics.ShouldContain("oci_registry_uploads_cancelled_total 1\n");
        metrics.ShouldContain("oci_registry_store_duration_seconds_count{store=\"documents\",operation=\"read\",outcome=\"ok\"}");
        metrics.ShouldContain("oci_registry_lock_wait_seconds_count{kind=\"process\",outcome=\"acquired\"}");
        metrics.ShouldContain("oci_registry_upstream_rate_limit_remaining{upstream=\"up\"} 7");
        metrics.ShouldNotContain(repository);
        metrics.ShouldNotContain("ODD");
    }

    [Fact]
    public async Task The_alerts_are_rules_and_come_when_they_should()
    {
        var promtool = Tool.Require("promtool");
        (await promtool.RunAsync("check", "rules", Path.Combine(Files, "alerts.yaml"))).ShouldContain("rules found");
        await promtool.RunAsync(
            "test", "rules", Path.Combine(Checkout.Root, "tests", "OciRegistry.IntegrationTests", "Telemetry", "alerts.test.yaml"));
    }

    [Fact]
    public async Task The_queries_of_the_dashboard_are_queries()
    {
        var promtool = Tool.Require("promtool");
        await using var folder = new TempFolder();
        var dashboard = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Files, "dashboard.json")))!;
        var queries = dashboard["panels"]!.AsArray()
            .SelectMany(panel => panel!["targets"]?.AsArray() ?? [])
            .Select(target => target!["expr"]!.GetValue<string>().Replace("$__rate_interval", "5m", StringComparison.Ordinal))
            .ToArray();
        queries.Length.ShouldBeGreaterThan(30);
        var rules = queries.Select((query, i) => $"  - {{ record: 'a:{i}', expr: {JsonSerializer.Serialize(query)} }}");
        await File.WriteAllLinesAsync(folder["rules.yaml"], ["groups:", "- name: dashboard", "  rules:", .. rules]);

        await promtool.RunAsync("check", "rules", folder["rules.yaml"]);
    }
}
