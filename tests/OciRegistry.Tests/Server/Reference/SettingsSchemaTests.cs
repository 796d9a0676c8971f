using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Json.Schema;
using Microsoft.Extensions.Configuration;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>The schema that editors use, by a validator that is not ours, beside the check of the start.</summary>
public sealed partial class SettingsSchemaTests
{
    private static readonly JsonSchema Schema = JsonSchema.FromText(File.ReadAllText(Committed.Path("appsettings.schema.json")));

    /// <summary>What both take.</summary>
    public static TheoryData<string> Right =>
    [
        "{}",
        """{ "OciRegistry": null, "urls": "http://*:5000", "Kestrel": { "Endpoints": {} }, "AllowedHosts": "*", "Anything": 1 }""",
        """{ "$schema": "appsettings.schema.json", "OciRegistry": { "ReadOnly": true, "Uploads": {} } }""",
        """{ "OciRegistry": { "Uploads": { "MaxBlobSize": null, "IdleExpiry": "2.00:00:00", "OrderWait": "00:00:00" } } }""",
        """{ "OciRegistry": { "Uploads": { "MaxBlobSize": 10000000000, "CommitWait": "00:00:00.5" } } }""",
        """{ "OciRegistry": { "Manifests": { "References": "SparseIndexes", "MaxSize": 5000000 } } }""",
        """{ "OciRegistry": { "Proxies": "10.0.0.0/8" } }""",
        """{ "OciRegistry": { "Proxies": ["10.0.0.7", "10.0.0.0/8"], "Auth": { "Policies": [], "Issuers": null } } }""",
        """{ "OciRegistry": { "Redis": { "Configuration": ["a:6379", "b:6379", "c:6379"], "Lease": "00:00:09" } } }""",
        """{ "OciRegistry": { "Auth": { "Policies": [ { "Subjects": "user:alice", "Repositories": ["a/**"], "Actions": ["pull", "push"] } ] } } }""",
        """{ "Logging": { "LogLevel": { "Default": "Debug" }, "Console": { "LogLevel": { "OciRegistry.Audit": "None" }, "FormatterName": "json" } } }""",
    ];

    /// <summary>What both refuse.</summary>
    public static TheoryData<string> Wrong =>
    [
        """{ "OciRegistry": { "ReadOnyl": true } }""",
        """{ "OciRegistry": { "Deletes": { "Enable": false } } }""",
        """{ "OciRegistry": { "ReadOnly": "yes" } }""",
        """{ "OciRegistry": { "ReadOnly": [true] } }""",
        """{ "OciRegistry": { "ReadOnly": null } }""",
        """{ "OciRegistry": { "Uploads": "short" } }""",
        """{ "OciRegistry": { "Manifests": { "References": "Sparse" } } }""",
        """{ "OciRegistry": { "Manifests": { "MaxSize": "4 MiB" } } }""",
        """{ "OciRegistry": { "Manifests": { "MaxSize": 1000 } } }""",
        """{ "OciRegistry": { "Manifests": { "MaxSize": 100000000 } } }""",
        """{ "OciRegistry": { "Listings": { "MaxPageSize": 0 } } }""",
        """{ "OciRegistry": { "Listings": { "MaxPageSize": 1.5 } } }""",
        """{ "OciRegistry": { "Limits": { "PerAddress": 0 } } }""",
        """{ "OciRegistry": { "Uploads": { "IdleExpiry": 24 } } }""",
        """{ "OciRegistry": { "Uploads": { "IdleExpiry": "24:00:00" } } }""",
        """{ "OciRegistry": { "Uploads": { "IdleExpiry": "00:00:00" } } }""",
        """{ "OciRegistry": { "Storage": { "FileSystem": { "Root": "" } } } }""",
        """{ "OciRegistry": { "Auth": { "Htpasswd": null } } }""",
        """{ "OciRegistry": { "Proxies": [] } }""",
        """{ "OciRegistry": { "Proxies": [""] } }""",
        """{ "OciRegistry": { "Auth": { "Policies": [ { "Subjects": "user:alice", "Repositories": "**", "Actions": ["pul"] } ] } } }""",
        """{ "OciRegistry": { "Auth": { "Policies": [ { "Who": "alice" } ] } } }""",
        """{ "OciRegistry": { "PullThrough": { "Upstreams": [ { "Prefix": "hub", "Url": "https://example.com", "Allways": true } ] } } }""",
        """{ "Logging": { "LogLevel": { "Default": "Loud" } } }""",
    ];

    /// <summary>Every form of a time, and what only looks like one.</summary>
    public static TheoryData<string> Times =>
    [
        "00:00:01", "1:2:3", "00:10", "0:1", "1.00:00:00", "1.2:3:4", "23:59:59.9999999", "00:00:00.1", "9999999.00:00:00",
        "24:00:00", "00:60:00", "00:00:60", "00:00:01.12345678", "00:00:01.", "1", "1.5", "1.1", "00:00:01 h", "soon", "", "1:2:3:4", "-00:00:01",
        "1.", ".00:00:01", "001:00:00",
    ];

    [Theory]
    [MemberData(nameof(Right))]
    public void What_is_right_is_valid(string json)
    {
        Problems(json).ShouldBeEmpty();
        IsValid(json).ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_is_wrong_is_not(string json)
    {
        Problems(json).ShouldNotBeEmpty();
        IsValid(json).ShouldBeFalse();
    }

    [Theory]
    [MemberData(nameof(Times))]
    public void A_time_is_one_to_both(string time) =>
        IsValid($$"""{ "OciRegistry": { "PullThrough": { "Upstreams": [ { "TagTtl": {{JsonSerializer.Serialize(time)}} } ] } } }""")
            .ShouldBe(SettingValue.Problem(typeof(TimeSpan), time) is null && !time.StartsWith('-'));

    /// <summary>The defaults written down are a file like any other.</summary>
    [Fact]
    public void Every_default_is_valid()
    {
        foreach (var leaf in Setting.Root.Leaves().Where(leaf => leaf.Default is not (null or "") && !leaf.Path.Contains('<', StringComparison.Ordinal)))
        {
            var value = leaf.Default is bool or int or long ? leaf.DefaultText : JsonSerializer.Serialize(leaf.DefaultText);
            var json = leaf.Path.Split(':').Reverse().Aggregate(value, (inner, name) => $$"""{ "{{name}}": {{inner}} }""");
            IsValid(json).ShouldBeTrue(json);
        }
    }

    [Theory]
    [InlineData("README.md", 1)]
    [InlineData("src/OciRegistry.Server/SETTINGS.md", 1)]
    public void The_files_that_are_shown_are_valid(string document, int least)
    {
        var shown = Shown().Matches(File.ReadAllText(Path.Combine(Committed.Root(), document)))
            .Select(match => match.Groups["json"].Value)
            .Where(json => json.Contains($"\"{Setting.Section}\"", StringComparison.Ordinal))
            .ToList();

        shown.Count.ShouldBeGreaterThanOrEqualTo(least);
        foreach (var json in shown)
        {
            Problems(json).ShouldBeEmpty();
            IsValid(json).ShouldBeTrue(json);
        }
    }

    private static bool IsValid(string json)
    {
        using var document = JsonDocument.Parse(json);
        return Schema.Evaluate(document.RootElement).IsValid;
    }

    private static IReadOnlyList<string> Problems(string json)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(json));
        var configuration = new ConfigurationBuilder().AddJsonStream(stream).Build();
        return [.. SettingsCheck.Problems(configuration), .. LogLevels.Problems(configuration)];
    }

    [GeneratedRegex("^```json\n(?<json>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Shown();
}
