using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Server;
using OciRegistry.Server.Settings;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>What a change of the files does to the settings of a registry that runs: within this process, a look at a time.</summary>
public sealed class ChangingSettingsTests : IDisposable
{
    private const string OnePolicy = """
        "Htpasswd": "users", "Policies": [ { "Subjects": ["user:alice"], "Repositories": ["a/**"], "Actions": ["pull"] } ]
        """;

    private const string Policies = "OciRegistry:Auth:Policies";

    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-settings-").FullName;
    private WebApplicationBuilder? _builder;
    private ChangingSettings? _settings;

    [Fact]
    public void Nothing_that_changed_is_nothing_to_say()
    {
        Start("""{ "OciRegistry": { "ReadOnly": true } }""");

        Refresh().ShouldBeNull();
        Write("""{ "OciRegistry": { "ReadOnly": true } }""");
        Refresh().ShouldBeNull();
        this["OciRegistry:ReadOnly"].ShouldBe("True", StringCompareShould.IgnoreCase);
    }

    [Theory]
    [InlineData("OciRegistry:ReadOnly", "true", "false")]
    [InlineData("OciRegistry:Deletes:Enabled", "false", "true")]
    [InlineData("OciRegistry:Manifests:References", "Off", "Strict")]
    [InlineData("OciRegistry:Manifests:MaxSize", "5000000", "4194304")]
    [InlineData("OciRegistry:Uploads:MaxBlobSize", "1000", "none")]
    [InlineData("OciRegistry:Listings:MaxPageSize", "5", "10000")]
    [InlineData("OciRegistry:Limits:PerAddress", "7", "none")]
    [InlineData("OciRegistry:Limits:PerSubject", "7", "none")]
    [InlineData("OciRegistry:Auth:MaxFailedLogins", "3", "10")]
    [InlineData("OciRegistry:Auth:FailedLoginDelay", "00:00:02", "00:00:01")]
    [InlineData("Logging:LogLevel:Default", "Debug", "Information")]
    [InlineData("Logging:LogLevel:OciRegistry.Audit", "Warning", "not set")]
    [InlineData("Logging:Console:LogLevel:Default", "Error", "not set")]
    public void What_may_change_counts_from_then_on_and_is_taken_back_as_well(string path, string value, string before)
    {
        Start("{}");

        Write($$"""{ "{{path}}": "{{value}}" }""");
        Refresh().ShouldNotBeNull().Taken.ShouldBe([new TakenSetting(path, value, before, IsPolicies: false)]);
        this[path].ShouldBe(value);

        Write("{}");
        Refresh().ShouldNotBeNull().Taken.ShouldBe([new TakenSetting(path, before, value, IsPolicies: false)]);
        this[path].ShouldBe(path == "Logging:LogLevel:Default" ? "Information" : null);
    }

    [Fact]
    public void What_needs_a_restart_is_named_once_and_not_taken_and_what_stands_beside_it_is()
    {
        Start("""{ "OciRegistry": { "Uploads": { "OrderWait": "00:00:12" } } }""");

        Write("""
            { "OciRegistry": { "ReadOnly": true, "Uploads": { "OrderWait": "00:00:20", "FenceWait": "00:00:03" } }, "AllowedHosts": "a" }
            """);
        var change = Refresh().ShouldNotBeNull();

        change.Problems.ShouldBeEmpty();
        change.Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:ReadOnly");
        change.Later.ShouldBe(
        [
            new LaterSetting("AllowedHosts", null),
            new LaterSetting("OciRegistry:Uploads:FenceWait", "00:00:01"),
            new LaterSetting("OciRegistry:Uploads:OrderWait", "00:00:12"),
        ]);
        this["OciRegistry:Uploads:OrderWait"].ShouldBe("00:00:12");
        this["OciRegistry:Uploads:FenceWait"].ShouldBeNull();

        Write("""{ "OciRegistry": { "Uploads": { "OrderWait": "00:00:20", "FenceWait": "00:00:03" } }, "AllowedHosts": "a" }""");
        change = Refresh().ShouldNotBeNull();
        change.Later.ShouldBeEmpty(); // said already
        change.Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:ReadOnly");

        Write("""{ "OciRegistry": { "Uploads": { "OrderWait": "00:00:12" } } }""");
        Refresh().ShouldBeNull(); // as it is
    }

    [Fact]
    public void Account_of_an_upstream_changes_at_once_unless_more_of_the_list_changes()
    {
        Start(Upstreams("a", "old"));

        Write(Upstreams("a", "new"));
        Refresh().ShouldNotBeNull().Taken.ShouldBe([new TakenSetting("OciRegistry:PullThrough:Upstreams", null, null, IsPolicies: false)]);
        this["OciRegistry:PullThrough:Upstreams:0:Password"].ShouldBe("new");

        // Another upstream at the same number: its password must not go to this one.
        Write(Upstreams("b", "of-b"));
        var change = Refresh().ShouldNotBeNull();
        change.Taken.ShouldBeEmpty();
        change.Later.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:PullThrough:Upstreams");
        this["OciRegistry:PullThrough:Upstreams:0:Password"].ShouldBe("new");

        static string Upstreams(string prefix, string password) => $$"""
            { "OciRegistry": { "PullThrough": { "Upstreams": [
              { "Prefix": "{{prefix}}", "Url": "https://{{prefix}}.example.com", "Username": "u", "Password": "{{password}}" } ] } } }
            """;
    }

    [Fact]
    public void Secrets_and_lists_have_no_text()
    {
        Start("{}");

        Write("""
            {
              "OciRegistry": {
                "Redis": { "Configuration": "redis,password=hunter2" },
                "PullThrough": { "Upstreams": [ { "Prefix": "hub", "Url": "https://example.com", "Username": "u", "Password": "hunter2" } ] },
                "Storage": { "AzureBlobs": { "ConnectionString": "UseDevelopmentStorage=true" } }
              },
              "Kestrel": { "Certificates": { "Default": { "Password": "hunter2" } } }
            }
            """);
        var change = Refresh().ShouldNotBeNull();

        change.Problems.ShouldBeEmpty();
        change.Later.Select(later => later.Path).ShouldBe(
        [
            "Kestrel:Certificates:Default:Password",
            "OciRegistry:PullThrough:Upstreams",
            "OciRegistry:Redis:Configuration",
            "OciRegistry:Storage:AzureBlobs:ConnectionString",
        ]);
        change.Later.ShouldAllBe(later => later.Value == null);

    }

    [Theory]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true, "Deletes": { "Enable": false } } }""", "Did you mean OciRegistry:Deletes:Enabled?")]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true, "Listings": { "MaxPageSize": 0 } } }""", "OciRegistry:Listings:MaxPageSize is 0.")]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true }, "Logging": { "LogLevel": { "Default": "Debg" } } }""", "Logging:LogLevel:Default is 'Debg'. Set it to one of Trace,")]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true, "Auth": { "Htpasswd": "missing" } } }""", "missing")]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true } """, "appsettings.json")]
    [InlineData("", "appsettings.json")]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true, "Auth": { "Htpasswd": "a\u0000b" } } }""", "It cannot be read")]
    public void A_change_with_a_problem_changes_nothing_and_is_told_once(string content, string problem)
    {
        Start("""{ "OciRegistry": { "Listings": { "MaxPageSize": 5 } } }""");

        Write(content);
        var change = Refresh().ShouldNotBeNull();

        change.Problems.ShouldHaveSingleItem().ShouldContain(problem);
        change.Taken.ShouldBeEmpty();
        change.Later.ShouldBeEmpty();
        this["OciRegistry:ReadOnly"].ShouldBeNull();
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("5");
        Refresh().ShouldBeNull();

        Write("""{ "OciRegistry": { "ReadOnly": true, "Listings": { "MaxPageSize": 5 } } }""");
        Refresh().ShouldNotBeNull().Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:ReadOnly");
    }

    [Fact]
    public void A_file_that_is_gone_counts_as_it_was()
    {
        Start("""{ "OciRegistry": { "ReadOnly": true } }""");

        File.Delete(Path.Combine(_folder, "appsettings.json"));
        Refresh().ShouldNotBeNull().Problems.ShouldHaveSingleItem().ShouldContain("appsettings.json' is gone.");
        Refresh().ShouldBeNull();
        this["OciRegistry:ReadOnly"].ShouldBe("True", StringCompareShould.IgnoreCase);

        Write("""{ "OciRegistry": { "ReadOnly": false } }""");
        Refresh().ShouldNotBeNull().Taken.ShouldHaveSingleItem().Value.ShouldBe("False", StringCompareShould.IgnoreCase);
    }

    /// <summary>To the framework what is no file is not there, and optional.</summary>
    [Fact]
    public void A_file_that_cannot_be_read_counts_as_it_was()
    {
        Start("""{ "OciRegistry": { "ReadOnly": true } }""");

        File.Delete(Path.Combine(_folder, "appsettings.json"));
        Directory.CreateDirectory(Path.Combine(_folder, "appsettings.json"));

        Refresh().ShouldNotBeNull().Problems.ShouldHaveSingleItem().ShouldContain("appsettings.json' cannot be read: ");
        Refresh().ShouldBeNull();
        this["OciRegistry:ReadOnly"].ShouldBe("True", StringCompareShould.IgnoreCase);
    }

    [Fact]
    public void A_file_that_was_not_there_counts_when_it_comes_and_that_of_the_environment_counts_before_the_other()
    {
        Start(null, "--environment=Staging");

        Write("""{ "OciRegistry": { "Listings": { "MaxPageSize": 5 } } }""");
        Refresh().ShouldNotBeNull();
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("5");

        Write("""{ "OciRegistry": { "Listings": { "MaxPageSize": 6 } } }""", "appsettings.Staging.json");
        Refresh().ShouldNotBeNull();
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("6");
    }

    [Fact]
    public void The_command_line_counts_before_the_file_as_ever()
    {
        Start("{}", "--OciRegistry:Listings:MaxPageSize=7");

        Write("""{ "OciRegistry": { "ReadOnly": true, "Listings": { "MaxPageSize": 5 } } }""");

        Refresh().ShouldNotBeNull().Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:ReadOnly");
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("7");
    }

    [Fact]
    public void A_shorter_list_of_policies_leaves_nothing_of_the_longer_one()
    {
        File.WriteAllText(Path.Combine(_folder, "users"), "");
        var users = Path.Combine(_folder, "users");
        Start($$"""{ "OciRegistry": { "Auth": { {{OnePolicy.Replace("\"users\"", $"\"{users}\"", StringComparison.Ordinal)}} } } }""");
        this[$"{Policies}:0:Actions:0"].ShouldBe("pull");

        Write($$"""{ "OciRegistry": { "Auth": { "Htpasswd": "{{users}}" } } }""");
        var change = Refresh().ShouldNotBeNull();

        change.Taken.ShouldHaveSingleItem().ShouldBe(new TakenSetting(Policies, null, null, IsPolicies: true));
        _builder!.Configuration.GetSection(Policies).GetChildren().ShouldBeEmpty();
    }

    /// <summary>Without the last policy nobody would have to log in: to open a registry is not a change among others.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Whether_anybody_has_to_log_in_stays_as_it_was_at_the_start(bool isGuarded)
    {
        const string open = """{ "OciRegistry": { "Listings": { "MaxPageSize": 5 } } }""";
        const string guarded = """
            { "OciRegistry": { "Auth": { "Policies": [ { "Subjects": ["anonymous"], "Repositories": ["**"], "Actions": ["pull"] } ] } } }
            """;
        Start(isGuarded ? guarded : open);

        Write(isGuarded ? open : guarded);
        var change = Refresh().ShouldNotBeNull();

        change.Later.ShouldHaveSingleItem().Path.ShouldBe(Policies);
        change.Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:Listings:MaxPageSize");
        _builder!.Configuration.GetSection(Policies).GetChildren().Any().ShouldBe(isGuarded);
    }

    /// <summary>As Kubernetes mounts a ConfigMap: the file is a link through a folder that is a link, which is turned.</summary>
    [Fact]
    public void A_link_that_is_turned_is_a_change()
    {
        WriteVersion("..2026_1", "5");
        Directory.CreateSymbolicLink(Path.Combine(_folder, "..data"), "..2026_1");
        File.CreateSymbolicLink(Path.Combine(_folder, "appsettings.json"), "..data/appsettings.json");
        Start(null);
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("5");

        WriteVersion("..2026_2", "6");
        Directory.CreateSymbolicLink(Path.Combine(_folder, "..data_tmp"), "..2026_2");
        DurableFile.Rename(Path.Combine(_folder, "..data_tmp"), Path.Combine(_folder, "..data"));
        Directory.Delete(Path.Combine(_folder, "..2026_1"), recursive: true);

        Refresh().ShouldNotBeNull().Taken.ShouldHaveSingleItem().Value.ShouldBe("6");
        this["OciRegistry:Listings:MaxPageSize"].ShouldBe("6");
    }

    /// <summary>Whoever looks at the log learns of it, and the registry goes on.</summary>
    [Fact]
    public async Task A_look_that_fails_is_told_of_and_the_next_one_comes()
    {
        var time = new ManualTimeProvider();
        using var log = new LogCapture();
        using var logs = LoggerFactory.Create(logging => logging.AddProvider(log));
        await using var services = new ServiceCollection().AddMetrics().AddSingleton<RegistryMetrics>().BuildServiceProvider();
        var looks = 0;
        using var reload = new SettingsReload(
            () => ++looks == 1
                ? throw new InvalidOperationException("a bug")
                : new SettingsChange { Later = [new LaterSetting("Some:Setting", null)] },
            () => false,
            services.GetRequiredService<RegistryMetrics>(),
            time,
            logs);
        await reload.StartAsync(CancellationToken.None);

        foreach (var line in (string[])["a bug", "Some:Setting has changed, which needs a restart; it stays what it was until then."])
        {
            await Until.TrueAsync(() => time.Waiting == 1, "it waits");
            time.Advance(SettingsReload.Interval);
            await Until.TrueAsync(() => log.Lines.Any(said => said.Contains(line, StringComparison.Ordinal)), $"'{line}' is said");
        }

        await reload.StopAsync(CancellationToken.None);
    }

    [Fact]
    public void A_change_while_the_server_started_is_seen_with_the_first_look()
    {
        Start("{}", () => Write("""{ "OciRegistry": { "ReadOnly": true } }"""));

        Refresh().ShouldNotBeNull().Taken.ShouldHaveSingleItem().Path.ShouldBe("OciRegistry:ReadOnly");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string? this[string key] => _builder!.Configuration[key];

    private SettingsChange? Refresh() => _settings!.Refresh();

    private void Start(string? content, params string[] arguments) => Start(content, () => { }, arguments);

    private void Start(string? content, Action meanwhile, params string[] arguments)
    {
        if (content is not null)
        {
            Write(content);
        }

        var line = CommandLine.Parse([$"--contentRoot={_folder}", .. arguments]);
        _builder = ServerConfiguration.CreateBuilder(line);
        meanwhile();
        _settings = new ChangingSettings(line, _builder.Configuration);
    }

    private void Write(string content, string name = "appsettings.json") => File.WriteAllText(Path.Combine(_folder, name), content);

    private void WriteVersion(string folder, string pageSize)
    {
        Directory.CreateDirectory(Path.Combine(_folder, folder));
        Write($$"""{ "OciRegistry": { "Listings": { "MaxPageSize": {{pageSize}} } } }""", Path.Combine(folder, "appsettings.json"));
    }
}
