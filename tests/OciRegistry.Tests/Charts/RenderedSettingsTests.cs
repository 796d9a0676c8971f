using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Configuration;
using OciRegistry.Auth;
using OciRegistry.Server;
using OciRegistry.Server.Settings;
using static OciRegistry.Tests.Charts.Release;

namespace OciRegistry.Tests.Charts;

/// <summary>What the server is started with in each case is what it would start with.</summary>
public sealed class RenderedSettingsTests
{
    /// <summary>What stands in Secrets that the chart does not make.</summary>
    private static readonly (string Setting, string Value)[] NotOurs =
    [
        ("ConnectionString", "AccountName=example;AccountKey=bm90LWEta2V5;EndpointSuffix=core.windows.net"),
        ("AccountKey", "bm90LWEta2V5"),
        ("Configuration:0", "redis-0:6379,password=secret"),
        ("Configuration:1", "redis-1:6379,password=secret"),
        ("Configuration:2", "redis-2:6379,password=secret"),
        ("Username", "somebody"),
        ("Password", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
    ];

    public static TheoryData<string> Cases => RegistryChart.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_server_has_no_complaints(string name)
    {
        var release = RegistryChart.Rendered(name);
        var line = CommandLine.Parse([.. release.Server["args"]!.AsArray().Select(argument => (string)argument!)]);
        var configuration = ConfigurationOf(release, line);

        var secret = Path.GetTempFileName(); // the check reads the files of Secrets that are not ours
        File.WriteAllText(secret, "secret");
        foreach (var file in configuration.AsEnumerable().Where(pair => pair.Key.EndsWith(":PasswordFile", StringComparison.Ordinal)))
        {
            configuration[file.Key] = secret;
        }

        line.Problems.ShouldBeEmpty();
        SettingsCheck.Problems(configuration).ShouldBeEmpty();
        Listening.Problems(configuration).ShouldBeEmpty();
        Listening.OpennessProblems(configuration, ServerConfiguration.Auth(configuration)).ShouldBeEmpty();
        Proxies.Problems(configuration).ShouldBeEmpty();
        configuration.AsEnumerable().ShouldContain(pair => pair.Key.StartsWith("OciRegistry:Storage:", StringComparison.Ordinal));
        File.Delete(secret);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_policies_are_policies(string name)
    {
        var release = RegistryChart.Rendered(name);
        foreach (var policies in release.OfKind("ConfigMap").Select(map => (string?)map["data"]!["policies.json"]).OfType<string>())
        {
            PolicyFile.Parse("policies.json", Encoding.UTF8.GetBytes(policies)).ShouldNotBeEmpty();
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Settings_are_in_the_folder_that_the_server_reads_and_files_where_they_say(string name)
    {
        var release = RegistryChart.Rendered(name);
        var configuration = ConfigurationOf(release, CommandLine.Parse([.. release.Server["args"]!.AsArray().Select(argument => (string)argument!)]));
        var mounts = Entries(release.Server["volumeMounts"]).ToDictionary(mount => (string)mount["mountPath"]!);

        mounts.ShouldContainKey(configuration["contentRoot"]!);
        mounts.Values.ShouldAllBe(mount => mount["subPath"] == null, "Kubernetes never updates a file that is mounted alone");
        foreach (var (key, path) in configuration.AsEnumerable().Where(pair => pair.Value?.StartsWith('/') == true && pair.Key != "contentRoot"))
        {
            mounts.Keys.ShouldContain(folder => Last(path!) == folder || path!.StartsWith($"{folder}/", StringComparison.Ordinal), $"{key} is {path}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_replica_has_the_same_storage_and_the_same_Redis(string name)
    {
        var release = RegistryChart.Rendered(name);
        var configuration = ConfigurationOf(release, CommandLine.Parse([]));
        var replicas = (int?)Spec(release.Workload)["replicas"] ?? (int)Spec(release.OfKind("HorizontalPodAutoscaler").Single())["maxReplicas"]!;
        if (replicas > 1)
        {
            ServerConfiguration.Redis(configuration).Configuration.ShouldNotBeEmpty();
            Spec(release.Workload)["volumeClaimTemplates"].ShouldBeNull("each replica would have a volume of its own");
        }
    }

    [Fact]
    public void No_secret_is_in_a_ConfigMap_or_in_a_pod()
    {
        foreach (var one in RegistryChart.Cases)
        {
            var others = RegistryChart.Rendered(one.Data).Objects.Where(each => Kind(each) != "Secret").Select(each => each.ToJsonString()).ToList();

            foreach (var secret in (string[])["not-a-secret", "bm90LWEta2V5", "$2y$10$", "PRIVATE KEY"])
            {
                string.Concat(others).ShouldNotContain(secret);
            }
        }
    }

    // SSL_CERT_DIR has the image's own folder before ours.
    private static string Last(string path) => path.Split(':')[^1];

    private static IConfigurationRoot ConfigurationOf(Release release, CommandLine line) => new ConfigurationBuilder()
        .AddJsonStream(new MemoryStream(Encoding.UTF8.GetBytes((string)release.Find("ConfigMap", Name(release.Workload))!["data"]!["appsettings.json"]!)))
        .AddInMemoryCollection(Entries(release.Server["env"]).Select(variable => KeyValuePair.Create<string, string?>(
            ((string)variable["name"]!).Replace("__", ":", StringComparison.Ordinal), ValueOf(release, variable))))
        .AddCommandLine(line.Settings)
        .Build();

    private static string ValueOf(Release release, JsonObject variable)
    {
        if (variable["valueFrom"]?["secretKeyRef"] is not { } reference)
        {
            return (string?)variable["value"] ?? "from the pod itself";
        }

        return release.Find("Secret", (string)reference["name"]!) is { } secret
            ? (string)secret["stringData"]![(string)reference["key"]!]!
            : NotOurs.Single(one => ((string)variable["name"]!).Replace("__", ":", StringComparison.Ordinal).EndsWith(one.Setting, StringComparison.Ordinal)).Value;
    }
}
