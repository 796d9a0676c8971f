using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class PodmanLoginTests
{
    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Who_has_logged_in_pushes_and_pulls_what_he_may_until_he_logs_out(Login login)
    {
        await using var tools = new ContainersTools();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var (podman, buildah) = (tools.Podman, tools.Buildah);
        string[] remote = ["--tls-verify=false", "--authfile", tools.File("auth.json")];
        var (image, shared) = ($"{registry.Host}/team/server:v1", $"{registry.Host}/public/server:v1");
        var container = await buildah.RunAsync("from", "scratch");
        await buildah.RunAsync("copy", "--quiet", container, Checkout.Solution, "/");
        await buildah.RunAsync("commit", "--quiet", container, image);
        await podman.RunAsync("tag", image, shared);

        var wrong = await podman.TryRunAsync(["login", .. remote, "--username", "alice", "--password", "wrong", registry.Host]);
        wrong.ExitCode.ShouldNotBe(0);
        wrong.Error.ShouldContain("invalid username/password");
        await LogInAsync(Accounts.Bob);
        var denied = await podman.TryRunAsync(["push", .. remote, image]);
        denied.ExitCode.ShouldNotBe(0);
        denied.Error.ShouldContain("denied");

        await LogInAsync(Accounts.Alice);
        await podman.RunAsync(["push", .. remote, "--digestfile", tools.File("digest"), image]);
        await buildah.RunAsync(["push", .. remote, shared]);
        await podman.RunAsync("rmi", "--force", image);
        await podman.RunAsync(["pull", "--quiet", .. remote, image]);
        await Accounts.Alice.SignInAsync(registry, login, "team/server");
        (await registry.Http.DigestAsync("team/server", "v1")).ShouldBe(await File.ReadAllTextAsync(tools.File("digest")));

        await podman.RunAsync("logout", "--authfile", tools.File("auth.json"), registry.Host);
        (await podman.TryRunAsync(["pull", .. remote, image])).ShouldBeUnauthorized();
        await podman.RunAsync(["pull", "--quiet", .. remote, shared]);

        Task LogInAsync(Account user) =>
            podman.RunAsync(["login", .. remote, "--username", user.Name, "--password", user.Password, registry.Host]);
    }
}
