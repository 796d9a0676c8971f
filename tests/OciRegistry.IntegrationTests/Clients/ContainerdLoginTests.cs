using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class ContainerdLoginTests(PublishedServer server)
{
    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task A_user_pushes_and_pulls_what_he_may(Login login)
    {
        await using var daemon = await ContainerDaemon.StartAsync();
        var layout = await server.LayoutAsync();
        await using var folder = new TempFolder();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var ctr = daemon.Ctr;
        var name = $"{registry.Host}/team/server";
        await Tool.Require("tar").RunAsync("--create", "--directory", layout, "--file", folder["image.tar"], ".");
        await ctr.RunAsync("images", "import", "--digests", "--base-name", name, folder["image.tar"]);
        string[] push = ["images", "push", "--plain-http", $"{name}:v1"];

        (await ctr.TryRunAsync(push)).ShouldBeUnauthorized();
        var denied = await ctr.TryRunAsync(["images", "push", "--plain-http", "--user", Accounts.Bob.Pair, $"{name}:v1"]);
        denied.ExitCode.ShouldNotBe(0);
        denied.Error.ShouldContain("403 Forbidden");
        await ctr.RunAsync("images", "push", "--plain-http", "--user", Accounts.Alice.Pair, $"{name}:v1");
        await ctr.RunAsync("images", "rm", "--sync", $"{name}:v1");
        (await ctr.TryRunAsync("images", "pull", "--plain-http", "--user", "bob:wrong", $"{name}:v1")).ShouldBeUnauthorized();
        await ctr.RunAsync("images", "pull", "--plain-http", "--user", Accounts.Bob.Pair, $"{name}:v1");

        await Accounts.Alice.SignInAsync(registry, login, "team/server");
        (await registry.Http.DigestAsync("team/server", "v1")).ShouldBe(OciLayout.Digest(layout));
        (await ctr.RunAsync("images", "ls", $"name=={name}:v1")).ShouldContain(OciLayout.Digest(layout));
    }
}
