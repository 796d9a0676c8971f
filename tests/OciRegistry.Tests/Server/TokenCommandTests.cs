using System.Net;
using System.Net.Http.Headers;
using OciRegistry.Auth;

namespace OciRegistry.Tests.Server;

public sealed class TokenCommandTests : IDisposable
{
    private const string Hash = "$2y$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    private const string Users = "--OciRegistry:Auth:Htpasswd=users";
    private const string Robots = "--OciRegistry:Auth:Robots=true";

    private readonly CommandFolder _folder = new();

    public TokenCommandTests() => _folder.Write("users", $"alice:{Hash}\n");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_server_takes_the_token_of_a_robot_for_its_scope_until_the_robot_is_revoked()
    {
        (await _folder.RunAsync($"robot create ci --repository ** --action pull {Robots}")).ShouldBeDone();
        var outcome = await _folder.RunAsync($"token robot:ci --scope repository:team/app:pull {Robots}");
        outcome.ShouldBeDone();
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:0 {Robots}", folder: _folder.Path);
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", outcome.Output);

        (await StatusAsync("v2/")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync("v2/team/app/tags/list")).ShouldBe(HttpStatusCode.NotFound); // it may, but nothing is there
        (await StatusAsync("v2/other/tags/list")).ShouldBe(HttpStatusCode.Unauthorized);

        (await _folder.RunAsync($"robot revoke ci {Robots}")).ShouldBeDone();
        (await StatusAsync("v2/")).ShouldBe(HttpStatusCode.Unauthorized);

        async Task<HttpStatusCode> StatusAsync(string path)
        {
            using var response = await client.GetAsync(new Uri(path, UriKind.Relative));
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task It_says_who_in_which_groups_for_what_and_for_how_long_and_dies_with_the_password()
    {
        var outcome = await _folder.RunAsync(
            $"token alice --group github:devs other --scope repository:a:pull,push registry:catalog:* --lifetime 00:30:00 {Users}");

        outcome.ShouldBeDone();
        Jwt.TryParse(outcome.Output, out var token).ShouldBeTrue();
        token.Subject.ShouldBe("user:alice");
        token.Texts("groups").ShouldBe(["github:devs", "other"]);
        token.TextOf("cred").ShouldBe(new HtpasswdUser("alice", Hash).Credential);
        token.Payload.GetProperty("access").GetRawText().ShouldBe(
            """[{"type":"repository","name":"a","actions":["pull","push"]},{"type":"registry","name":"catalog","actions":["*"]}]""");
        (token.Expires!.Value - token.NotBefore!.Value).ShouldBe(TimeSpan.FromMinutes(30));
    }

    [Fact]
    public async Task Without_a_lifetime_it_lives_as_long_as_those_of_the_server()
    {
        var outcome = await _folder.RunAsync($"token user:alice {Users} --OciRegistry:Auth:Tokens:Lifetime=00:02:00");

        Jwt.TryParse(outcome.Output, out var token).ShouldBeTrue();
        (token.Expires!.Value - token.NotBefore!.Value).ShouldBe(TimeSpan.FromMinutes(2));
    }

    [Theory]
    [InlineData($"bob {Users}", 1, "There is no user 'bob'. 'user list' shows who is.")]
    [InlineData($"user:alice {Robots}", 1, "There is no user 'alice'.")]
    [InlineData($"robot:ci {Robots}", 1, "There is no robot 'ci'. 'robot list' shows which there are.")]
    [InlineData($"cert:web {Users}", 1, "The registry would take no token of 'cert:web': set OciRegistry:Auth:ClientCertificates:Authority.")]
    [InlineData($"github:me {Users}", 1, "The registry would take no token of 'github:me': what stands before the ':' has to be the Name of ")]
    [InlineData("alice", 1, "The registry is open, so tokens say nothing.")]
    [InlineData($"alice {Users} --OciRegistry:Auth:Tokens:Enabled=false", 1, "because OciRegistry:Auth:Tokens:Enabled is false.")]
    [InlineData("alice --OciRegistry:Auth:Htpasswd=none", 1, "'none': It cannot be read: ")]
    [InlineData($"alice {Users} --OciRegistry:Storage:FileSystem:Root=/dev/null/data", 1, "The registry cannot store in '/dev/null/data': ")]
    [InlineData($"alice {Users} --lifetime 01:00:01", 2, "--lifetime is 01:00:01. Set it to a time from 00:00:01 to 01:00:00.")]
    [InlineData($"alice {Users} --lifetime 00:00:00.5", 2, "--lifetime is 00:00:00.5. Set it to a time from 00:00:01 to 01:00:00.")]
    [InlineData($"alice {Users} --lifetime soon", 2, "--lifetime is 'soon'. Set it to a time as ")]
    [InlineData($"alice {Users} --scope pull", 2, "--scope is 'pull'. Write it as repository:team/app:pull,push.")]
    public Task A_token_that_would_not_be_taken_is_not_made(string arguments, int code, string problem) =>
        CommandFolder.ShouldRefuseAsync(
            $"token --OciRegistry:Storage:FileSystem:Root={_folder["data"]} {arguments.Replace("=users", $"={_folder["users"]}", StringComparison.Ordinal)}",
            code,
            problem);

    [Fact]
    public async Task A_robot_that_has_to_log_in_and_cannot_gets_none()
    {
        (await _folder.RunAsync($"robot create ci --repository ** --action pull {Robots}")).ShouldBeDone();

        await CommandFolder.ShouldRefuseAsync(
            $"token robot:ci --OciRegistry:Storage:FileSystem:Root={_folder["data"]} --OciRegistry:Auth:Htpasswd={_folder["users"]}",
            1,
            "The registry would take no token of 'robot:ci': set OciRegistry:Auth:Robots=true, and see in 'robot list' whether it has expired.");
    }

    [Fact]
    public async Task With_the_keys_in_a_file_the_storage_is_not_touched()
    {
        using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256);
        _folder.Write("keys", key.ExportPkcs8PrivateKeyPem());

        (await _folder.RunAsync($"token alice {Users} --OciRegistry:Auth:Tokens:SigningKeys=keys")).ShouldBeDone();

        Directory.Exists(_folder["data"]).ShouldBeFalse();
    }
}
