using System.Text;
using Microsoft.Extensions.Configuration;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server;

public sealed class SettingsCheckTests
{
    [Fact]
    public void No_settings_are_no_problem() => Problems([]).ShouldBeEmpty();

    [Theory]
    [InlineData("OciRegistry:ReadOnly", "true")]
    [InlineData("ociregistry:readonly", "TRUE")]
    [InlineData("OciRegistry:Deletes:Enabled", "false")]
    [InlineData("OciRegistry:Manifests:References", "SparseIndexes")]
    [InlineData("OciRegistry:Manifests:References", "off")]
    [InlineData("OciRegistry:Manifests:MaxSize", "5000000")]
    [InlineData("OciRegistry:Uploads:IdleExpiry", "01:30:00")]
    [InlineData("OciRegistry:Uploads:IdleExpiry", "2.00:00:00")]
    [InlineData("OciRegistry:Uploads:MaxBlobSize", "10000000000")]
    [InlineData("OciRegistry:Uploads:MaxBlobSize", "")]
    [InlineData("OciRegistry:Storage:FileSystem:Root", "/var/lib/registry")]
    [InlineData("OciRegistry:Redis:Configuration", "redis:6379,password=secret,ssl=true")]
    [InlineData("OciRegistry:Redis:Configuration", "redis")]
    [InlineData("OciRegistry:Redis:Configuration", "primary:6379,replica:6379,password=a=b,defaultDatabase=3")]
    [InlineData("OciRegistry:Redis:Configuration:0", "10.1.2.3:6379")]
    [InlineData("OciRegistry:Redis:Lease", "00:00:30")]
    [InlineData("OciRegistry2:Anything", "x")]
    [InlineData("Logging:LogLevel:Default", "Debug")]
    public void A_setting_that_is_right_is_no_problem(string key, string value) => Problems([(key, value)]).ShouldBeEmpty();

    [Theory]
    [InlineData("OciRegistry:Deletes:Enable", "OciRegistry:Deletes:Enable is no setting. Did you mean OciRegistry:Deletes:Enabled?")]
    [InlineData("OciRegistry:Delete:Enabled", "OciRegistry:Delete is no setting. Did you mean OciRegistry:Deletes?")]
    [InlineData("OciRegistry:Storag:FileSystem:Root", "OciRegistry:Storag is no setting. Did you mean OciRegistry:Storage?")]
    [InlineData("ociregistry:read-only", "OciRegistry:read-only is no setting. Did you mean OciRegistry:ReadOnly?")]
    [InlineData("OciRegistry:MaxBlobSize", "OciRegistry:MaxBlobSize is no setting. Did you mean OciRegistry:Uploads:MaxBlobSize?")]
    [InlineData("OciRegistry:Deletes:Frobnicate", "OciRegistry:Deletes:Frobnicate is no setting. OciRegistry:Deletes has Enabled, Referenced.")]
    [InlineData("OciRegistry:Redis:Leas", "OciRegistry:Redis:Leas is no setting. Did you mean OciRegistry:Redis:Lease?")]
    [InlineData("OciRegistry:Redis:Configuration:first", "OciRegistry:Redis:Configuration:first is no setting. Number the entries: OciRegistry:Redis:Configuration:0, OciRegistry:Redis:Configuration:1.")]
    [InlineData("OciRegistry:Redis:Configuration:0:0", "OciRegistry:Redis:Configuration:0 takes one value, not several. Set it to a text.")]
    [InlineData("OciRegistry:Storage:Azure:Container", "OciRegistry:Storage:Azure is no setting. OciRegistry:Storage has FileSystem, AzureBlobs.")]
    public void An_unknown_setting_is_named_with_the_one_that_was_meant(string key, string problem) =>
        Problems([(key, "secret")]).ShouldBe([problem]);

    [Theory]
    [InlineData("OciRegistry:ReadOnly", "yes", "true or false")]
    [InlineData("OciRegistry:Deletes:Enabled", "", "true or false")]
    [InlineData("OciRegistry:Manifests:References", "Sparse", "one of Strict, SparseIndexes, Off")]
    [InlineData("OciRegistry:Manifests:References", "7", "one of Strict, SparseIndexes, Off")]
    [InlineData("OciRegistry:Manifests:MaxSize", "4 MiB", "a whole number")]
    [InlineData("OciRegistry:Manifests:MaxSize", "5000000000", "of at most 2147483647")]
    [InlineData("OciRegistry:Uploads:MaxBlobSize", "1.5", "a whole number")]
    [InlineData("OciRegistry:Uploads:IdleExpiry", "soon", "[days.]hours:minutes:seconds")]
    [InlineData("OciRegistry:Uploads:IdleExpiry", "24", "[days.]hours:minutes:seconds")] // .NET: 24 days
    [InlineData("OciRegistry:Uploads:IdleExpiry", "24:00:00", "[days.]hours:minutes:seconds")] // .NET: 24 days, too
    [InlineData("OciRegistry:Storage:FileSystem:Root", "", "a text")]
    [InlineData("OciRegistry:Redis:Configuration", "", "a text")]
    [InlineData("OciRegistry:Redis:Configuration:0", "", "a text")]
    [InlineData("OciRegistry:Redis:Timeout", "500", "[days.]hours:minutes:seconds")]
    public void A_value_that_cannot_be_read_is_answered_with_what_could(string key, string value, string remedy)
    {
        var problem = Problems([(key, value)]).ShouldHaveSingleItem();

        problem.ShouldStartWith(key);
        problem.ShouldContain(value.Length == 0 ? "has no value" : $"is '{value}'");
        problem.ShouldContain(remedy);
    }

    [Theory]
    [InlineData("OciRegistry", "OciRegistry takes no value of its own.")]
    [InlineData("OciRegistry:Uploads", "OciRegistry:Uploads takes no value of its own.")]
    [InlineData("OciRegistry:ReadOnly:0", "OciRegistry:ReadOnly takes one value, not several.")]
    public void A_value_where_none_can_be_is_a_problem(string key, string problem) =>
        Problems([(key, "true")]).ShouldHaveSingleItem().ShouldStartWith(problem);

    [Fact]
    public void Settings_that_contradict_each_other_are_a_problem() =>
        Problems([("OciRegistry:Uploads:IdleExpiry", "8.00:00:00")]).ShouldHaveSingleItem()
            .ShouldStartWith("OciRegistry:Uploads:AbsoluteExpiry (7.00:00:00) is shorter than");

    [Theory]
    [InlineData("redis,user=app,password=secret", "part 2 of it, counted by commas, names an ACL user")]
    [InlineData("redis,UserName = app", "names an ACL user")]
    [InlineData("[::1]:6379", "part 1 of it, counted by commas, is an IPv6 address")]
    [InlineData("fe80::1,password=secret", "is an IPv6 address")]
    [InlineData("redis,ssl=true,sslProtocols=tls12,password=secret", "part 3 of it, counted by commas, is sslProtocols")]
    [InlineData("password=secret,ssl=true", "names no server")]
    [InlineData(",", "names no server")]
    [InlineData("redis://app:secret@redis:6379", "is a URL")]
    [InlineData("redis:0", "is no address")]
    [InlineData("redis:secret", "is no address")]
    [InlineData(":6379", "is no address")]
    [InlineData("redis,password=half,secret", "is an address after an option")]
    [InlineData("redis,password=half,secret=rest", "part 3 of it, counted by commas, is no option")]
    [InlineData("redis,ssl=secret", "is no option of StackExchange.Redis 1.2.6, or has a value that it cannot read")]
    [InlineData("redis,channelPrefix=x", "is channelPrefix")]
    public void A_Redis_that_cannot_be_used_is_answered_with_the_reason_and_no_secret(string configuration, string reason)
    {
        var problem = Problems([("OciRegistry:Redis:Configuration", configuration)]).ShouldHaveSingleItem();

        problem.ShouldStartWith("OciRegistry:Redis:Configuration ");
        problem.ShouldContain(reason);
        problem.ShouldNotContain("secret");
        problem.ShouldNotContain("half");
    }

    [Theory]
    [InlineData("Lease", "00:00:00.5", "OciRegistry:Redis:Lease is 00:00:00.5000000. Set it to a time from 00:00:01 to 00:05:00.")]
    [InlineData("Lease", "00:05:01", "OciRegistry:Redis:Lease is 00:05:01. Set it to a time from 00:00:01 to 00:05:00.")]
    [InlineData("Timeout", "00:00:03", "OciRegistry:Redis:Timeout is 00:00:03. Set it to a time from 00:00:00.0100000 to a quarter of Redis:Lease (00:00:02).")]
    [InlineData("Configuration:1", "REDIS", "OciRegistry:Redis:Configuration:1 has REDIS:6379, which is there already.")]
    [InlineData("Configuration:1", "b,user=x", "OciRegistry:Redis:Configuration:1 cannot be used: part 2 of it")]
    [InlineData("Configuration", "other", "OciRegistry:Redis:Configuration has a value, and a list below it.")]
    public void Locks_that_cannot_be_are_a_problem(string name, string value, string problem) =>
        Problems([("OciRegistry:Redis:Configuration:0", "redis:6379"), ($"OciRegistry:Redis:{name}", value)])
            .ShouldHaveSingleItem().ShouldStartWith(problem);

    [Fact]
    public void All_problems_are_told_at_once()
    {
        var problems = Problems(
        [
            ("OciRegistry:Deletes:Enable", "false"),
            ("OciRegistry:Manifests:References", "Sparse"),
            ("OciRegistry:Listings:MaxPageSize", "0"),
            ("OciRegistry:Uploads:IdleExpiry", "8.00:00:00"),
        ]);

        problems.Count.ShouldBe(4);
    }

    [Theory]
    [InlineData("""{ "OciRegistry": { "Uploads": { "MaxBlobSize": null } } }""")]
    [InlineData("""{ "OciRegistry": { "Uploads": {}, "ReadOnly": true } }""")]
    [InlineData("""{ "OciRegistry": null }""")]
    public void Json_may_leave_groups_empty_and_clear_what_may_be_missing(string json)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(json));

        SettingsCheck.Problems(new ConfigurationBuilder().AddJsonStream(stream).Build()).ShouldBeEmpty();
    }

    [Fact]
    public void A_problem_says_where_the_setting_was_made()
    {
        var configuration = new ConfigurationBuilder()
            .AddCommandLine(["--OciRegistry:Wrong=1", "--OciRegistry:ReadOnly=2"]).Build();

        var problems = SettingsCheck.Problems(configuration);

        problems.Count.ShouldBe(2);
        problems.ShouldAllBe(problem => problem.Contains(" (command line) ", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_option_of_the_library_is_a_setting()
    {
        var paths = Setting.Root.Leaves().Select(leaf => leaf.Path).ToList();

        paths.ShouldBeUnique();
        paths.ShouldContain("OciRegistry:ReadOnly");
        paths.ShouldContain("OciRegistry:Uploads:SweepInterval");
        paths.ShouldContain("OciRegistry:Storage:FileSystem:Root");
        paths.ShouldContain("OciRegistry:Redis:Configuration");
        paths.ShouldContain("OciRegistry:Redis:Lease");
    }

    private static IReadOnlyList<string> Problems((string Key, string Value)[] settings) =>
        SettingsCheck.Problems(new ConfigurationBuilder()
            .AddInMemoryCollection(settings.ToDictionary(s => s.Key, s => (string?)s.Value)).Build());
}
