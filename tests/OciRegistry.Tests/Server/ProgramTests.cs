using System.Net;
using System.Net.Sockets;
using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

public sealed class ProgramTests
{
    private const string AnyPort = "--urls=http://127.0.0.1:0";

    [Fact]
    public async Task It_says_where_it_listens_where_it_stores_and_how_to_push()
    {
        await using var server = ServerProcess.Start(AnyPort);
        var url = await server.UntilListeningAsync();
        await server.UntilLineAsync("  docker push");

        server.Output.ShouldMatch(@"^OciRegistry \d+\.\d+\.\d+");
        server.Output.ShouldContain($"Storing in {server.Folder}/data\n");
        server.Output.ShouldContain($"  docker tag alpine 127.0.0.1:{url.Port}/alpine\n");
        server.Output.ShouldContain($"  docker push 127.0.0.1:{url.Port}/alpine");
        Directory.Exists(Path.Combine(server.Folder, "data")).ShouldBeTrue();
    }

    [Fact]
    public async Task It_serves_the_registry_and_what_operators_ask()
    {
        await using var server = ServerProcess.Start(AnyPort);
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        using var version = await client.GetAsync(new Uri("/v2/", UriKind.Relative));
        version.StatusCode.ShouldBe(HttpStatusCode.OK);
        version.Headers.Server.ShouldBeEmpty();
        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Head }) // load balancers ask for it
        {
            using var root = await client.SendAsync(new HttpRequestMessage(method, "/"));
            root.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        using var posted = await client.PostAsync(new Uri("/", UriKind.Relative), null);
        posted.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await client.GetStringAsync(new Uri("/livez", UriKind.Relative))).ShouldContain("live");
        (await client.GetStringAsync(new Uri("/readyz", UriKind.Relative))).ShouldContain("ready");
        PrometheusParser.Parse(await client.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .ShouldContain(family => family.Name == "oci_registry_requests_total");
    }

    [Fact]
    public async Task It_logs_nothing_for_a_request_and_ends_with_0_when_it_is_told_to_stop()
    {
        await using var server = ServerProcess.Start(AnyPort);
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        await server.UntilLineAsync("  docker push");
        var before = server.Output;
        await client.GetStringAsync(new Uri("/v2/", UriKind.Relative));
        await Until.TrueAsync(
            async () => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
                .Contains("oci_registry_requests_running 0\n", StringComparison.Ordinal),
            "it has ended for the server too");

        server.Terminate();
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(0);
        errors.ShouldBeEmpty();
        server.Output.ShouldBe(before + "\n");
    }

    [Fact]
    public async Task A_port_in_use_is_said_and_so_is_the_default_address()
    {
        // Whoever has the default port, this test or somebody else: it is in use.
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            taken.Bind(new IPEndPoint(IPAddress.Loopback, 5000));
            taken.Listen();
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
        }

        await using var server = ServerProcess.Start("");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("Failed to bind to address http://127.0.0.1:5000: address already in use.");
        errors.ShouldContain("listen elsewhere, as with --urls=http://127.0.0.1:5001");
        ShouldHaveNoStackTrace(errors + server.Output);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_is_said()
    {
        await using var server = ServerProcess.Start(
            $"{AnyPort} --OciRegistry:Storage:FileSystem:Root=appsettings.json/data", appsettings: "{}");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain($"'{server.Folder}/appsettings.json/data'");
        errors.ShouldContain("OciRegistry:Storage:FileSystem:Root");
        ShouldHaveNoStackTrace(errors + server.Output);
    }

    [Fact]
    public async Task All_problems_are_told_at_once_whatever_their_source()
    {
        await using var server = ServerProcess.Start(
            "--port=80 --OciRegistry:Uploads:IdleExpiry=24:00:00 --urls=bogus",
            [("OciRegistry__Deletes__Enable", "false")],
            """
            { "OciRegistry": { "Listings": { "MaxPageSize": 0 }, "Storage": { "FileSystem": { "Root": "/dev/null/data" } } } }
            """);
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("There are 6 problems.");
        errors.ShouldContain("--port is no option. Use --urls=http://127.0.0.1:PORT.");
        errors.ShouldContain("OciRegistry:Uploads:IdleExpiry (command line) is '24:00:00'.");
        errors.ShouldContain("OciRegistry:Deletes:Enable (environment) is no setting. Did you mean ");
        errors.ShouldContain("OciRegistry:Listings:MaxPageSize is 0. Set it to a number from 1 to 100000.");
        errors.ShouldContain("urls has 'bogus', which is no address to listen on.");
        errors.ShouldContain("'/dev/null/data'");
        server.Output.ShouldBeEmpty();
        ShouldHaveNoStackTrace(errors);
    }

    [Fact]
    public async Task A_broken_settings_file_is_named_with_the_line()
    {
        await using var server = ServerProcess.Start(AnyPort, appsettings: "{\n  \"OciRegistry\": oops\n}");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain($"'{server.Folder}/appsettings.json'");
        errors.ShouldContain("LineNumber: 1");
        ShouldHaveNoStackTrace(errors + server.Output);
    }

    [Fact]
    public async Task An_address_that_this_machine_does_not_have_is_said()
    {
        // 192.0.2.0/24 is for documentation: nobody has it.
        await using var server = ServerProcess.Start("--urls=http://192.0.2.1:5000 --OciRegistry:Auth:AllowAnonymous=true");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("It cannot listen: Cannot assign requested address.");
        ShouldHaveNoStackTrace(errors + server.Output);
    }

    [Fact]
    public async Task Https_without_a_certificate_is_said()
    {
        await using var server = ServerProcess.Start("--urls=https://127.0.0.1:0", [("HOME", "/nowhere")]);
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("No server certificate was specified");
        ShouldHaveNoStackTrace(errors + server.Output);
    }

    [Theory]
    [InlineData("ASPNETCORE_URLS", "http://127.0.0.1:0;http://[::1]:0", 2)]
    [InlineData("Kestrel__Endpoints__Main__Url", "http://127.0.0.1:0", 1)]
    public async Task The_default_address_gives_way_to_any_other(string name, string value, int addresses)
    {
        await using var server = ServerProcess.Start("", [(name, value)]);
        await server.UntilLineAsync("Storing in ");

        var lines = server.Output.Split('\n')
            .Where(line => line.StartsWith("Listening on ", StringComparison.Ordinal)).ToList();
        lines.Count.ShouldBe(addresses);
        lines.ShouldAllBe(line => !line.EndsWith(":5000", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_command_line_counts_before_the_environment_and_that_before_the_file()
    {
        await using var server = ServerProcess.Start(
            $"{AnyPort} --OciRegistry:Storage:FileSystem:Root=line",
            [("OciRegistry__Storage__FileSystem__Root", "environment"), ("OciRegistry__ReadOnly", "true")],
            """{ "OciRegistry": { "ReadOnly": false, "Storage": { "FileSystem": { "Root": "file" } } } }""");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        (await server.UntilLineAsync("Storing in ")).ShouldBe($"Storing in {server.Folder}/line");
        using var started = await client.PostAsync(new Uri("/v2/a/blobs/uploads/", UriKind.Relative), null);
        started.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed); // read-only, as the environment has it
    }

    [Theory]
    [InlineData("--help", "Usage: ")]
    [InlineData("--version", "OciRegistry ")]
    public async Task It_answers_a_question_and_ends(string option, string text)
    {
        await using var server = ServerProcess.Start(option);
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(0);
        errors.ShouldBeEmpty();
        server.Output.ShouldContain(text);
        Directory.EnumerateFileSystemEntries(server.Folder).ShouldBeEmpty();
    }

    private static void ShouldHaveNoStackTrace(string text)
    {
        text.ShouldNotContain("   at ");
        text.ShouldNotContain("Exception");
    }
}
