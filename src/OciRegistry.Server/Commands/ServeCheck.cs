using OciRegistry.Auth;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>
/// Looks whether the registry could be served, as the start does, and prints what it would do: nothing listens, and nothing that is
/// written stays. A Redis that is away, or an address that somebody has now, is a warning: it may be otherwise at the start.
/// </summary>
internal static class ServeCheck
{
    /// <exception cref="StartupException">It could not.</exception>
    public static async Task<int> RunAsync(CommandLine line)
    {
        var configuration = ServerConfiguration.CreateBuilder(line).Configuration;
        List<string> problems =
        [
            .. line.Problems,
            .. StartupCheck.Problems(configuration),
            .. ListeningCheck.Problems(configuration),
        ];
        var storage = await StorageCheck.LookAsync(configuration, isRight: problems.Count == 0);
        problems.AddRange(storage.Problems);
        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }

        var redis = ServerConfiguration.Redis(configuration);
        var away = redis.Configuration.Count > 0 ? await RedisCheck.ProblemAsync(redis) : null;
        foreach (var warning in ListeningCheck.Warnings(configuration).Concat(away is null ? [] : [away]))
        {
            Console.Error.WriteLine($"Warning: {warning}");
        }

        var options = ServerConfiguration.Registry(configuration);
        List<string> lines =
        [
            CommandLine.Version,
            .. Listening.Urls(configuration).Select(url => $"Would listen on {url}"),
            $"Would serve up to {ConnectionLimits.MostOf(configuration)} connections at once",
            $"Would store in {storage.Where}",
            redis.Configuration.Count > 0 ? $"Would lock with Redis at {string.Join(", ", redis.EndPoints())}" : "Would lock within this process",
            .. Logins(options.Auth).Select(who => $"Would let in {who}"),
            .. options.PullThrough.Upstreams.Select(upstream => $"Would pull {upstream.Prefix} through from {upstream.Url}"),
            "Nothing is wrong with the settings.",
        ];
        Console.WriteLine(string.Join(Environment.NewLine, lines));
        return 0;
    }

    private static List<string> Logins(AuthOptions auth)
    {
        if (!auth.IsRequired)
        {
            return ["everybody, who may do everything"];
        }

        var files = AuthFiles.Of(auth);
        List<string> who = [];
        if (files.Users is { } users)
        {
            who.Add($"the users of {auth.Htpasswd}: {users.Names.Count()}");
        }

        if (auth.Robots)
        {
            who.Add("robots");
        }

        who.AddRange(auth.Issuers.Select(issuer => $"{issuer.Name}:..., with tokens of {issuer.Authority}"));
        if (files.ClientAuthorities is not null)
        {
            who.Add($"holders of certificates that lead to {auth.ClientCertificates.Authority}");
        }

        if (files.Policies.RulesFor(Caller.Anonymous).Any())
        {
            who.Add("nobody in particular, for what policies let 'anonymous' do");
        }

        if (who.Count == 0)
        {
            who.Add("nobody: there are policies, and no way to log in");
        }

        return who;
    }
}
