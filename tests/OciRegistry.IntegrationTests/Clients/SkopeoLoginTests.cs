using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class SkopeoLoginTests(PublishedServer server)
{
    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Credentials_of_the_command_line_and_of_a_file_let_in_whom_the_policies_let_in(Login login)
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var folder = new TempFolder();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var image = $"docker://{registry.Host}/team/server:v1";
        string[] push = ["copy", "--dest-tls-verify=false", $"oci:{layout}:v1", image];
        string[] inspect = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", image];

        var denied = await skopeo.TryRunAsync([.. push, "--dest-creds", Accounts.Bob.Pair]);
        denied.ExitCode.ShouldNotBe(0);
        denied.Error.ShouldContain("denied");
        await skopeo.RunAsync([.. push, "--dest-creds", Accounts.Alice.Pair]);
        (await skopeo.TryRunAsync(inspect)).ShouldBeUnauthorized();
        (await skopeo.TryRunAsync([.. inspect, "--creds", "bob:wrong"])).ShouldBeUnauthorized();
        (await skopeo.RunAsync([.. inspect, "--creds", Accounts.Bob.Pair])).ShouldBe(OciLayout.Digest(layout));

        string[] file = ["--tls-verify=false", "--authfile", folder["auth.json"]];
        await skopeo.RunAsync(
            ["login", .. file, "--username", Accounts.Alice.Name, "--password", Accounts.Alice.Password, registry.Host]);
        await skopeo.RunAsync(
            "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--authfile", folder["auth.json"],
            image, $"docker://{registry.Host}/public/server:v1");
        await skopeo.RunAsync(["delete", .. file, image]);
        await skopeo.RunAsync("logout", "--authfile", folder["auth.json"], registry.Host);

        await Accounts.Alice.SignInAsync(registry, login, "team/server");
        await registry.Http.ShouldNotHaveAsync("team/server", "v1");
        (await skopeo.RunAsync(
            "inspect", "--tls-verify=false", "--format", "{{.Digest}}", $"docker://{registry.Host}/public/server:v1"))
            .ShouldBe(OciLayout.Digest(layout));
    }
}
