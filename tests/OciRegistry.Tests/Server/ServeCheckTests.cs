using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Configuration;
using OciRegistry.Server;
using OciRegistry.Tests.Auth;

namespace OciRegistry.Tests.Server;

/// <summary><c>--check</c>: what the start would say, without a start.</summary>
public sealed class ServeCheckTests : IDisposable
{
    private const string AnyPort = "--urls=http://127.0.0.1:0";

    private readonly CommandFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task It_says_what_would_be_served_and_leaves_nothing()
    {
        var checkedNow = await _folder.RunAsync($"--check {AnyPort}");

        checkedNow.ShouldBeDone();
        checkedNow.Output.Split('\n')[1..].ShouldBe(
        [
            "Would listen on http://127.0.0.1:0",
            $"Would serve up to {ConnectionLimits.MostOf(new ConfigurationManager())} connections at once",
            $"Would store in {_folder.Path}/data, which the start makes",
            "Would lock within this process",
            "Would let in everybody, who may do everything",
            "Would not answer /admin: nobody has to log in",
            "Would answer requests for localhost and loopback addresses only",
            "Nothing is wrong with the settings.",
        ]);
        Directory.EnumerateFileSystemEntries(_folder.Path).ShouldBeEmpty();
    }

    [Fact]
    public async Task It_says_who_may_log_in_and_what_is_pulled_through()
    {
        using var auth = new AuthFolder();
        _folder.Write("appsettings.json", $$"""
            {
              "$schema": "appsettings.schema.json",
              "OciRegistry": {
                "Auth": {
                  "Htpasswd": "{{auth.Htpasswd}}",
                  "Robots": true,
                  "Issuers": [ { "Name": "github", "Authority": "https://example.com", "Audience": "here" } ],
                  "Policies": [ { "Subjects": ["anonymous"], "Repositories": ["public/**"], "Actions": ["pull"] } ]
                },
                "PullThrough": { "Upstreams": [ { "Prefix": "hub", "Url": "https://registry-1.docker.io" } ] }
              }
            }
            """);

        var checkedNow = await _folder.RunAsync("serve --check --urls=http://*:5000");

        checkedNow.Code.ShouldBe(0, checkedNow.Errors);
        checkedNow.Output.ShouldContain($"Would let in the users of {auth.Htpasswd}: 2\n");
        checkedNow.Output.ShouldContain("Would let in robots\n");
        checkedNow.Output.ShouldContain("Would let in github:..., with tokens of https://example.com\n");
        checkedNow.Output.ShouldContain("Would let in nobody in particular, for what policies let 'anonymous' do\n");
        checkedNow.Output.ShouldContain("Would pull hub through from https://registry-1.docker.io\n");
    }

    [Fact]
    public async Task It_says_who_administers_what()
    {
        _folder.Write("policies.json", """
            {
              "groups": { "leads": ["user:alice", "user:bob"] },
              "policies": [
                { "name": "a", "groups": ["leads", "idp:leads"], "repositories": ["team-a/**", "shared/a"], "actions": ["pull", "admin"] },
                { "name": "all", "subjects": ["user:root"], "repositories": ["x", "**"], "actions": ["admin"] }
              ]
            }
            """);

        var checkedNow = await _folder.RunAsync($"--check {AnyPort} --OciRegistry:Auth:PolicyFile=policies.json --OciRegistry:Auth:Robots=true");

        checkedNow.Code.ShouldBe(0, checkedNow.Errors);
        checkedNow.Output.Split('\n').Where(line => line.Contains("administer", StringComparison.Ordinal)).ShouldBe(
        [
            "Would let user:alice, user:bob, idp:leads administer team-a/**, shared/a (policy 1 'a' of policies.json)",
            "Would let user:root administer everything (policy 2 'all' of policies.json)",
            "Would let robots with the action admin administer their repositories: 'robot list' shows them",
        ]);
        checkedNow.Output.ShouldNotContain("no operator");
        (await _folder.RunAsync($"--check {AnyPort} --OciRegistry:Auth:Robots=true")).Output.ShouldContain(
            "Would have no operator by a policy: one has the action admin in '**'\n");
        foreach (var isOn in (string[])["Admin=true", "Urls=http://127.0.0.1:0"])
        {
            (await _folder.RunAsync($"--check {AnyPort} --OciRegistry:Operations:{isOn}")).Output.ShouldContain(
                "Would let everybody on this machine administer everything\n");
        }
    }

    [Fact]
    public async Task It_says_all_that_keeps_the_registry_from_starting()
    {
        _folder.Write("key.pem", "none");
        _folder.Write("policies.json", "{ oops");
        var checkedNow = await _folder.RunAsync(
            "--check --port=80 --urls=http://192.0.2.1:5000;https://127.0.0.1:5001 --OciRegistry:Listings:MaxPageSize=0 "
            + "--OciRegistry:Auth:PolicyFile=policies.json --Logging:LogLevel:Default=Loud --OciRegistry:Storage:FileSystem:Root=key.pem/data "
            + "--Kestrel:Certificates:Default:Path=key.pem --Kestrel:Certificates:Default:KeyPath=key.pem");

        checkedNow.Code.ShouldBe(1);
        checkedNow.Output.ShouldBeEmpty();
        checkedNow.Errors.ShouldContain("The registry cannot start. There are 7 problems.");
        checkedNow.Errors.ShouldContain("--port is no option.");
        checkedNow.Errors.ShouldContain("OciRegistry:Listings:MaxPageSize is 0.");
        checkedNow.Errors.ShouldContain("policies.json");
        checkedNow.Errors.ShouldContain("Logging:LogLevel:Default is 'Loud'. Set it to one of Trace,");
        checkedNow.Errors.ShouldContain("http://192.0.2.1:5000 is no address of this machine.");
        checkedNow.Errors.ShouldContain("Kestrel:Certificates:Default cannot be used: ");
        checkedNow.Errors.ShouldContain($"The registry cannot store in '{_folder.Path}/key.pem/data': cannot create folders: ");
        Directory.EnumerateFileSystemEntries(_folder.Path).Count().ShouldBe(2);
    }

    [Fact]
    public async Task Https_without_a_certificate_and_settings_that_cannot_be_read_are_problems()
    {
        (await _folder.RunAsync("--check --urls=https://127.0.0.1:0", environment: [("HOME", "/nowhere")]))
            .ShouldBeRefused(1, "https://127.0.0.1:0 has no certificate. Set Kestrel:Certificates:Default:Path");

        _folder.Write("appsettings.json", "{ \"OciRegistry\": oops }");
        (await _folder.RunAsync($"--check {AnyPort}")).ShouldBeRefused(1, "appsettings.json");
    }

    /// <summary>Beside the registry that runs, before it is started again with other settings.</summary>
    [Fact]
    public async Task A_registry_that_runs_is_not_disturbed_and_its_address_is_a_warning()
    {
        await using var server = ServerProcess.Start(AnyPort, folder: _folder.Path);
        var url = await server.UntilListeningAsync();
        using var client = new HttpClient { BaseAddress = url };
        await client.GetStringAsync(new Uri("/v2/", UriKind.Relative));
        var before = Files();

        var checkedNow = await _folder.RunAsync($"--check --urls={url.GetLeftPart(UriPartial.Authority)}");

        checkedNow.Code.ShouldBe(0);
        checkedNow.Errors.ShouldBe(
            $"Warning: {url.GetLeftPart(UriPartial.Authority)} is in use now. Stop the program that listens there before the registry is started.");
        checkedNow.Output.ShouldContain($"Would store in {_folder.Path}/data\n");
        Files().ShouldBe(before);
        (await client.GetStringAsync(new Uri("/v2/", UriKind.Relative))).ShouldBe("{}");
    }

    [Fact]
    public async Task A_Redis_that_is_away_is_a_warning_without_its_password()
    {
        using var free = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        free.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // and does not listen
        var port = ((IPEndPoint)free.LocalEndPoint!).Port;

        var checkedNow = await _folder.RunAsync($"--check {AnyPort} --OciRegistry:Redis:Configuration=127.0.0.1:{port},password=hunter2");

        checkedNow.Code.ShouldBe(0);
        checkedNow.Errors.ShouldStartWith($"Warning: Redis at 127.0.0.1:{port} cannot be reached.");
        (checkedNow.Errors + checkedNow.Output).ShouldNotContain("hunter2");
        checkedNow.Output.ShouldContain($"Would lock with Redis at 127.0.0.1:{port}\n");
    }

    [Theory]
    [InlineData("--check=true", "--check is no option. Use --check alone.")]
    [InlineData("user list --check --file users", "--check is no option of 'user list'.")]
    public async Task It_takes_no_value_and_belongs_to_serving(string arguments, string problem) =>
        (await _folder.RunAsync(arguments)).Errors.ShouldContain(problem);

    private string[] Files() => [.. Directory.EnumerateFileSystemEntries(_folder.Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
}
